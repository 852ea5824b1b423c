#!/usr/bin/env python3
"""Caldera beside PyTorch, where most checkpoints come from: the same nets, in one run.

On a CUDA device PyTorch runs what is its fastest without a compiler: cuDNN's best algorithms,
channels_last, CUDA graphs. It is timed there by the device's own clock, its input on the device
already; --copies counts the way from and to host memory too, as Caldera's figures do. Without
CUDA, or with --cpu, it runs on all cores in both layouts.

  tests/on_driver.sh lavapipe /usr/bin/python3 tests/bench/compare_torch.py --nets resnet18
  tests/on_driver.sh nvidia python3 tests/bench/compare_torch.py --batch 1 256 --json torch.json
  tests/on_driver.sh lavapipe /usr/bin/python3 tests/bench/compare_torch.py --train \
    --nets cifar_resnet20 --batch 128
"""

import argparse
import contextlib
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import peers
from peers import Caldera, Contestant, PeerError, Row

try:
    import torch
    import torchvision
except ImportError as error:
    sys.exit(f"compare_torch.py: no {error.name} for this Python: "
             "install torch and torchvision (Debian: apt install python3-torchvision)")

SIZE = 224
SEED = 1
WARM_UPS = 3  # Before a CUDA graph is captured: cuDNN chooses its algorithms in the first.


@dataclass(frozen=True)
class CudaMode:
    name: str
    precision: str  # Caldera's that it is held against.
    dtype: torch.dtype
    tf32: bool = False
    autocast: bool = False


CUDA_MODES = (CudaMode("torch fp32", "fp32", torch.float32),
              CudaMode("torch TF32", "fp32", torch.float32, tf32=True),
              CudaMode("torch autocast", "fp16", torch.float32, autocast=True),
              CudaMode("torch half", "fp16", torch.float16))
CPU_LAYOUTS = {"torch NCHW": torch.contiguous_format, "torch channels_last": torch.channels_last}


def make_model(net: str) -> torch.nn.Module:
    torch.manual_seed(SEED)
    if net.startswith("cifar_"):
        sys.path.insert(0, str(peers.CHECKOUT / "tests" / "models" / "architectures"))
        from reference_nets import make_net
        return make_net(net).eval()
    return getattr(torchvision.models, net)().eval()


def make_images(batch: int, net: str) -> torch.Tensor:
    size = 32 if net.startswith("cifar_") else SIZE
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(SEED))


def cpu_contestant(name: str, layout: torch.memory_format, net: str, batch: int) -> Contestant:
    model = make_model(net).to(memory_format=layout)
    images = make_images(batch, net).to(memory_format=layout)

    def forward() -> None:
        with torch.inference_mode():
            model(images)

    return Contestant(name, lambda repeat: peers.time_calls(forward, repeat))


def training_step(net: str, batch: int, device: str, layout: torch.memory_format,
                  autocast: bool = False) -> Callable[[], None]:
    """Forward, loss, backward and SGD with momentum and weight decay, as `caldera bench --train`."""
    model = make_model(net).train().to(device).to(memory_format=layout)
    images = make_images(batch, net).to(device).to(memory_format=layout)
    with torch.no_grad():
        classes = model(images).shape[1]
    labels = (torch.arange(batch) % classes).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    scaler = torch.cuda.amp.GradScaler(enabled=autocast)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.float16) if autocast else contextlib.nullcontext():
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return step


def training_contestants(args: argparse.Namespace, net: str, batch: int,
                         precision: str) -> list[Contestant]:
    if args.cpu:
        def on_cpu(layout: torch.memory_format) -> Callable[[int], float]:
            step = training_step(net, batch, "cpu", layout)
            return lambda repeat: peers.time_calls(step, repeat)

        return [Contestant(name, on_cpu(layout)) for name, layout in CPU_LAYOUTS.items()]

    def on_cuda(mode: CudaMode) -> Callable[[int], float]:
        def measure(repeat: int) -> float:
            torch.backends.cudnn.allow_tf32 = mode.tf32
            torch.backends.cuda.matmul.allow_tf32 = mode.tf32
            return time_on_device(step, repeat)

        step = training_step(net, batch, "cuda", torch.channels_last, mode.autocast)
        return measure

    return [Contestant(mode.name, on_cuda(mode)) for mode in CUDA_MODES
            if mode.precision == precision and mode.dtype == torch.float32]


@dataclass(frozen=True)
class CapturedNet:
    """A net as a CUDA graph, with the tensors that it reads and writes at every replay.

    The graph holds addresses only, so the model has to live as long.
    """

    model: torch.nn.Module
    graph: "torch.cuda.CUDAGraph"
    images: torch.Tensor
    logits: torch.Tensor


def capture(mode: CudaMode, net: str, batch: int) -> CapturedNet:
    torch.backends.cudnn.allow_tf32 = mode.tf32
    torch.backends.cuda.matmul.allow_tf32 = mode.tf32
    layout = torch.channels_last
    model = make_model(net).to("cuda", mode.dtype).to(memory_format=layout)
    images = make_images(batch, net).to("cuda", mode.dtype).to(memory_format=layout)
    autocast = (torch.autocast("cuda", torch.float16, cache_enabled=False) if mode.autocast
                else contextlib.nullcontext())
    with torch.inference_mode(), autocast:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                model(images)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = model(images)
    return CapturedNet(model, graph, images, logits)


def time_on_device(call: Callable[[], None], repeat: int) -> float:
    """The median of so many calls in milliseconds by CUDA's events, after one uncounted."""
    call()
    times = []
    for _ in range(repeat):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def cuda_contestant(mode: CudaMode, net: str, batch: int, copies: bool) -> Contestant:
    captured = capture(mode, net, batch)
    if not copies:
        return Contestant(mode.name,
                          lambda repeat: time_on_device(captured.graph.replay, repeat))
    pixels = captured.images.cpu().pin_memory()  # Keeps the type and layout: a plain copy each way.
    logits = captured.logits.cpu().pin_memory()

    def from_host_to_host() -> None:
        captured.images.copy_(pixels, non_blocking=True)
        captured.graph.replay()
        logits.copy_(captured.logits, non_blocking=True)
        torch.cuda.synchronize()

    return Contestant(mode.name, lambda repeat: peers.time_calls(from_host_to_host, repeat))


def torch_contestants(args: argparse.Namespace, net: str, batch: int,
                      precision: str) -> list[Contestant]:
    if args.train:
        return training_contestants(args, net, batch, precision)
    if args.cpu:
        return [cpu_contestant(name, layout, net, batch) for name, layout in CPU_LAYOUTS.items()]
    return [cuda_contestant(mode, net, batch, args.copies)
            for mode in CUDA_MODES if mode.precision == precision]


def compare(args: argparse.Namespace, caldera: Caldera, precision: str) -> list[Row]:
    rows = []
    for net in args.nets:
        for batch in args.batch:
            contestants = [caldera.contestant(net, batch, precision, args.train),
                           *torch_contestants(args, net, batch, precision)]
            rounds = peers.take_turns(contestants, args.rounds, args.repeat)
            rows.append(Row({"net": net, "batch": batch, "precision": precision}, rounds))
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = peers.make_parser(__doc__, batch="1 and 8, with CUDA 1 and 256",
                               precision="fp32, with CUDA both",
                               more_nets=("cifar_resnet20", "cifar_resnet56"))
    parser.add_argument("--cpu", action="store_true", default=not torch.cuda.is_available(),
                        help="PyTorch on the CPU even where there is CUDA")
    parser.add_argument("--train", action="store_true",
                        help="time training steps: forward, loss, backward and SGD")
    parser.add_argument("--copies", action="store_true",
                        help="with CUDA: count copying pixels and logits between pinned host "
                        "memory and the device, by the host's clock")
    args = parser.parse_args()
    args.batch = args.batch or ([1, 8] if args.cpu else [1, 256])
    args.precision = args.precision or (["fp32"] if args.cpu else ["fp32", "fp16"])
    if args.cpu and "fp16" in args.precision:
        raise PeerError("PyTorch on the CPU is held against fp32 only")
    if args.copies and (args.cpu or args.train):
        raise PeerError("--copies is for CUDA, and for inference")
    return args


def what_torch_runs_on(args: argparse.Namespace) -> str:
    if args.cpu:
        return f"{torch.get_num_threads()} CPU threads"
    timing = "copies from and to the host counted" if args.copies else "copies not counted"
    return f"{torch.cuda.get_device_name()}, cuDNN {torch.backends.cudnn.version()}, {timing}"


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(peers.cpu_threads())
    torch.backends.cudnn.benchmark = True
    caldera = Caldera(peers.find_caldera(args.caldera), args.device)
    device, driver = caldera.device_and_driver()
    rows = []
    for precision in args.precision:
        table = compare(args, caldera, precision)
        peers.print_table(table)
        print()
        rows += table
    peers.print_runs(args)
    print(f"PyTorch {torch.__version__} on {what_torch_runs_on(args)}; "
          f"Caldera on {device}, {driver}")
    peers.write_json(args.json, rows, torch=torch.__version__, torch_on=what_torch_runs_on(args),
                     device=device, driver=driver)


if __name__ == "__main__":
    peers.run_main(main)
