#!/usr/bin/env python3
"""Caldera beside ncnn, the usual way to run nets through Vulkan from C++: the same nets, one run.

ncnn runs on the same Vulkan device, and on the CPU too, since that is what its users would take
where the device is a software one. It takes one image at a time, so a batch is as many calls. Both
sides are timed from the pixels in host memory to the logits in host memory.

  tests/on_driver.sh lavapipe python3 tests/bench/compare_ncnn.py --nets resnet18 resnet50
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time
from typing import Any

import peers
from peers import Caldera, Contestant, PeerError, Row

try:
    import ncnn
    import numpy

    import ncnn_nets
except ImportError as error:
    sys.exit(f"compare_ncnn.py: no {error.name} for this Python: "
             f"{sys.executable} -m pip install ncnn numpy (in a virtual environment)")

VULKAN = "ncnn Vulkan"
CPU = "ncnn CPU"
SEED = 1
LARGEST_DIFFERENCE = 1e-3  # Of --check; Winograd's transforms cost ncnn some digits.


class NcnnNet:
    """A loaded net; `gpu` is the index of a Vulkan device, or None for the CPU."""

    def __init__(self, files: ncnn_nets.NetFiles, gpu: int | None, precision: str) -> None:
        self.net = ncnn.Net()
        options = self.net.opt
        options.num_threads = peers.cpu_threads()
        options.use_fp16_packed = precision == "fp16"
        options.use_fp16_storage = precision == "fp16"
        options.use_fp16_arithmetic = precision == "fp16"
        options.use_vulkan_compute = gpu is not None
        if gpu is not None:
            self.net.set_vulkan_device(gpu)
        if self.net.load_param(str(files.param)) or self.net.load_model(str(files.weights)):
            raise PeerError(f"ncnn cannot load {files.param}")
        self.input = self.net.input_names()[0]
        self.output = self.net.output_names()[0]

    def run(self, image: ncnn_nets.Array) -> ncnn_nets.Array:
        extractor = self.net.create_extractor()
        extractor.input(self.input, ncnn.Mat(image))
        code, logits = extractor.extract(self.output)
        if code != 0:
            raise PeerError(f"ncnn failed to run the net (code {code})")
        return numpy.array(logits)


def random_image() -> ncnn_nets.Array:
    shape = (3, ncnn_nets.SIZE, ncnn_nets.SIZE)
    return numpy.random.default_rng(SEED).standard_normal(shape, dtype=numpy.float32)


def find_gpu(name: str) -> int:
    """ncnn's index of the device that Caldera takes."""
    names = [ncnn.get_gpu_info(index).device_name() for index in range(ncnn.get_gpu_count())]
    if name not in names:
        raise PeerError(f"ncnn does not see {name}, which Caldera takes; "
                        f"it sees {', '.join(names) or 'no Vulkan device'}")
    return names.index(name)


def ncnn_contestant(name: str, net: NcnnNet, batch: int) -> Contestant:
    image = random_image()

    def run_batch() -> None:
        for _ in range(batch):
            net.run(image)

    return Contestant(name, lambda repeat: peers.time_calls(run_batch, repeat))


def compare_net(args: argparse.Namespace, caldera: Caldera, gpu: int, net: str,
                precision: str) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = ncnn_nets.write_net(net, ncnn_nets.random_parameters(SEED), pathlib.Path(folder))
        on_gpu = NcnnNet(files, gpu, precision)
        on_cpu = NcnnNet(files, None, precision)
        for batch in args.batch:
            contestants = [caldera.contestant(net, batch, precision),
                           ncnn_contestant(VULKAN, on_gpu, batch),
                           ncnn_contestant(CPU, on_cpu, batch)]
            rounds = peers.take_turns(contestants, args.rounds, args.repeat)
            rows.append(Row({"net": net, "batch": batch, "precision": precision}, rounds))
    return rows


def time_first_run(folder: pathlib.Path, gpu: int, precision: str) -> float:
    """Milliseconds from a net's files to its first logits, on a device that is open already."""
    image = random_image()
    ncnn.get_gpu_device(gpu)
    start = time.perf_counter()
    NcnnNet(ncnn_nets.NetFiles.inside(folder), gpu, precision).run(image)
    return (time.perf_counter() - start) * 1e3


def cache_environment(folder: str) -> dict[str, str]:
    """Where Caldera, Mesa and NVIDIA's driver are to keep what they compiled."""
    return {name: folder for name in ("XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR",
                                      "__GL_SHADER_DISK_CACHE_PATH")}


def compare_first_runs(args: argparse.Namespace, caldera: Caldera, gpu: int, net: str,
                       precision: str) -> list[Row]:
    """Each run is a process. The second process of a round finds what the first one left."""
    rounds: dict[str, dict[str, list[float]]] = {
        caches: {peers.CALDERA: [], VULKAN: []} for caches in ("empty", "warm")}
    with tempfile.TemporaryDirectory() as folder:
        ncnn_nets.write_net(net, ncnn_nets.random_parameters(SEED), pathlib.Path(folder))
        child = [*peers.launcher(), sys.executable, str(pathlib.Path(__file__).resolve()),
                 "--time-first-run", folder, str(gpu), precision]
        for _ in range(args.rounds):
            with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
                for caches in rounds:
                    first = caldera.bench(net, 1, precision, 1, environment=cache_environment(ours))
                    rounds[caches][peers.CALDERA].append(float(first["first_run_ms"]))
                    rounds[caches][VULKAN].append(
                        float(peers.run_json(child, cache_environment(theirs))))
    return [Row({"net": net, "caches": caches, "precision": precision}, rounds[caches])
            for caches in rounds]


def folded_parameters(model: Any) -> ncnn_nets.Parameters:
    """A torchvision model's weights, each batch-norm folded into the convolution before it."""
    state = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def parameters(name: str, shape: tuple[int, ...]) -> tuple[ncnn_nets.Array, ncnn_nets.Array]:
        weight = state[f"{name}.weight"].reshape(shape)
        if f"{name}.bias" in state:
            return weight, state[f"{name}.bias"]
        norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        scale = state[f"{norm}.weight"] / numpy.sqrt(state[f"{norm}.running_var"] + 1e-5)
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        return weight * scale[:, None, None, None], bias

    return parameters


def random_torch_model(net: str) -> Any:
    """A torchvision model; its running statistics are random too, so that folding counts."""
    import torch
    import torchvision

    torch.manual_seed(SEED)
    model = getattr(torchvision.models, net)().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


def check_net(gpu: int, net: str) -> None:
    """The largest difference of ncnn's logits from PyTorch's, over PyTorch's largest logit."""
    import torch

    model = random_torch_model(net)
    image = random_image()
    with torch.inference_mode():
        expected = model(torch.from_numpy(image)[None])[0].numpy()
    with tempfile.TemporaryDirectory() as folder:
        files = ncnn_nets.write_net(net, folded_parameters(model), pathlib.Path(folder))
        for name, device in ((VULKAN, gpu), (CPU, None)):
            logits = NcnnNet(files, device, "fp32").run(image)
            difference = numpy.abs(logits - expected).max() / numpy.abs(expected).max()
            print(f"{net:<8}  {name:<11}  {difference:.1e} from PyTorch's logits")
            if not difference <= LARGEST_DIFFERENCE:
                raise PeerError(f"{net} on {name} is another net than PyTorch's")


def parse_arguments() -> argparse.Namespace:
    parser = peers.make_parser(__doc__, batch="1", precision="fp32")
    parser.set_defaults(batch=[1], precision=["fp32"])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--first-run", action="store_true",
                      help="time the first run of fresh processes instead, from loading the net to "
                      "its logits, with all caches of compiled shaders empty and then warm")
    mode.add_argument("--check", action="store_true",
                      help="only hold ncnn's logits against PyTorch's, with the same weights")
    mode.add_argument("--time-first-run", nargs=3, metavar=("FOLDER", "GPU", "PRECISION"),
                      help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.time_first_run:
        folder, gpu, precision = args.time_first_run
        print(json.dumps(time_first_run(pathlib.Path(folder), int(gpu), precision)))
        return
    caldera = Caldera(peers.find_caldera(args.caldera), args.device)
    device, driver = caldera.device_and_driver()
    gpu = find_gpu(device)
    if args.check:
        for net in args.nets:
            check_net(gpu, net)
        return
    compare = compare_first_runs if args.first_run else compare_net
    rows = [row for precision in args.precision for net in args.nets
            for row in compare(args, caldera, gpu, net, precision)]
    peers.print_table(rows)
    if args.first_run:
        print(f"runs: {args.rounds} a figure, their median, each in a process of its own, by turns")
    else:
        peers.print_runs(args)
    print(f"ncnn {ncnn.__version__}, {peers.cpu_threads()} CPU threads; {device}, {driver}")
    peers.write_json(args.json, rows, ncnn=ncnn.__version__, threads=peers.cpu_threads(),
                     device=device, driver=driver)


if __name__ == "__main__":
    peers.run_main(main)
