"""Checkpoints as PyTorch itself writes them, and the check that it takes Caldera's back.

    make_checkpoints.py make FOLDER    NAME.pth or NAME.npy, and beside it what Caldera must find
    make_checkpoints.py check FOLDER   every NAME.pth in FOLDER/back against NAME.expected

NAME.expected: the first line is the wrapper and the prefix, then a line a tensor: name, dtype,
extents, and the CRC-32 of its bytes, dense and in row-major order; fields parted by tabs.
"""

import collections
import os
import sys
import zipfile
import zlib

import numpy
import torch
from torch import nn

DTYPES = {
    torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16",
    torch.int64: "i64", torch.int32: "i32", torch.int16: "i16", torch.int8: "i8",
    torch.uint8: "u8", torch.bool: "bool",
}


def raw_bytes(tensor):
    dense = tensor.detach().cpu().contiguous()
    if dense.dtype == torch.bfloat16:
        dense = dense.view(torch.int16)
    return dense.numpy().tobytes()


def describe(tensor):
    extents = ",".join(str(extent) for extent in tensor.shape)
    return f"{DTYPES[tensor.dtype]}\t{extents}\t{zlib.crc32(raw_bytes(tensor)):08x}"


def net():
    """A convolution, batch-norm (with an int64 scalar) and a linear layer, trained for a step."""
    torch.manual_seed(1)
    model = nn.Sequential(
        collections.OrderedDict(
            conv=nn.Conv2d(3, 5, 3), bn=nn.BatchNorm2d(5), pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(), fc=nn.Linear(5, 7)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    schedule.step()
    return model, optimizer, schedule


class Maker:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def expect(self, name, tensors, wrapper="", prefix=""):
        with open(self.path(name + ".expected"), "w") as file:
            file.write(f"{wrapper}\t{prefix}\n")
            for key, tensor in tensors.items():
                assert key.startswith(prefix)
                file.write(f"{key[len(prefix):]}\t{describe(tensor)}\n")

    def save(self, name, content, tensors, wrapper="", prefix="", **options):
        """In both formats."""
        for suffix, new in (("", True), ("-legacy", False)):
            torch.save(content, self.path(name + suffix + ".pth"),
                       _use_new_zipfile_serialization=new, **options)
            self.expect(name + suffix, tensors, wrapper, prefix)

    def repack(self, name, source, change=lambda record, data: data, extra=(), **options):
        """`source` with its zip written anew: other root, alignment and records."""
        with zipfile.ZipFile(self.path(source + ".pth")) as old, \
                zipfile.ZipFile(self.path(name + ".pth"), "w", zipfile.ZIP_STORED) as new:
            root = "other-root/"
            for record in old.namelist():
                tail = record.split("/", 1)[1]
                with new.open(root + tail, "w", **options) as out:
                    out.write(change(tail, old.read(record)))
            for tail, text in extra:
                new.writestr(root + tail, text)


def make(folder):
    maker = Maker(folder)
    model, optimizer, schedule = net()
    state = model.state_dict()

    maker.save("bare", state, state)
    for protocol in (3, 4, 5):
        maker.save(f"protocol{protocol}", state, state, pickle_protocol=protocol)
    for wrapper in ("state_dict", "model_state_dict", "model", "net", "ema", "my_resnet"):
        maker.save(f"wrapped-{wrapper}", {wrapper: state, "epoch": 3}, state, wrapper)
    maker.save("training", {
        "optimizer": optimizer.state_dict(), "epoch": 90, "arch": "resnet20",
        "scheduler": schedule.state_dict(), "best_acc": numpy.float64(91.25),
        "best_prec1": torch.tensor(91.5), "history": [1.0, (2, None), {"x": {1, 2}}, 1 + 2j],
        "losses": numpy.arange(3.0), "big": 1 << 100, "device": torch.device("cuda", 1),
        "dtype": torch.float16, "size": torch.Size([1, 2]), "raw": b"bytes", "args": {"lr": 0.1},
        "rng": torch.get_rng_state(), "state_dict": state,
    }, state, "state_dict")
    maker.save("nested", {"model": {"state_dict": state}}, state, "model.state_dict")
    maker.save("beside-ema", {"state_dict_ema": {"x": torch.zeros(1)}, "model": state}, state,
               "model")
    for name, prefix in (("module", "module."), ("compiled", "_orig_mod.module."),
                         ("lightning", "model.backbone.")):
        named = collections.OrderedDict((prefix + key, value) for key, value in state.items())
        maker.save(f"prefix-{name}", {"state_dict": named}, named, "state_dict", prefix)
    some = {"module.a": torch.ones(2), "b": torch.ones(3)}
    maker.save("prefix-of-some", some, some)

    base = torch.arange(120, dtype=torch.float32)
    grid = base.view(2, 3, 4, 5)
    views = {
        "whole": base, "grid": grid, "transposed": grid.permute(0, 2, 3, 1),
        "part": base[7:19], "row": grid[1, 2], "column": grid[:, :, :, 3], "every_third": base[::3],
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "overlapping": torch.as_strided(base, (5, 4), (1, 2), 3),
        "scalar": torch.tensor(3.5), "empty": torch.empty(0, 4), "one": torch.ones(1, 1, 1),
        "parameter": nn.Parameter(torch.randn(3)),
    }
    views["tied"] = views["parameter"]
    attributed = torch.randn(4)
    attributed.origin = "somewhere"
    views["attributed"] = attributed
    # Names of every length modulo 8: a legacy file's data begins wherever they end.
    for length in range(1, 9):
        named = {**views, "n" * length: torch.ones(1)}
        maker.save(f"views{length}", named, named)

    torch.manual_seed(2)
    dtypes = {}
    for dtype, name in DTYPES.items():
        values = torch.randint(-100, 100, (3, 5)) if dtype.is_signed else torch.randint(0, 2, (3, 5))
        dtypes[name] = values.to(dtype) if not dtype.is_floating_point else torch.randn(3, 5).to(dtype)
    dtypes["specials"] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    maker.save("dtypes", dtypes, dtypes)
    dtypes["odd entries"] = 3
    maker.save("not-only-tensors", {**dtypes, "_extra_state": {"x": torch.ones(1)}, 5: base},
               {key: value for key, value in dtypes.items() if key != "odd entries"})
    del dtypes["odd entries"]

    # As newer PyTorch writes: more records. Others' zips: zip64 headers, no alignment.
    records = [("byteorder", "little"), (".format_version", "1"), (".storage_alignment", "64"),
               (".data/serialization_id", "0636457737946401051300000000000000000000")]
    maker.repack("newer", "dtypes", extra=records)
    maker.expect("newer", dtypes)
    maker.repack("zip64", "dtypes", force_zip64=True)
    maker.expect("zip64", dtypes)

    def swapped(record, data):
        index = int(record[5:]) if record.startswith("data/") else None
        if index is None:
            return data
        element = list(dtypes.values())[index].element_size()
        return numpy.frombuffer(data, f"V{element}").copy().view(f"u1").reshape(
            -1, element)[:, ::-1].tobytes()

    maker.repack("big-endian", "dtypes", swapped, extra=[("byteorder", "big")])
    maker.expect("big-endian", dtypes)

    # What must be refused, by the line that is to be found in the message.
    refused = {
        "whole-model": (model, "asks for torch.nn.modules.container.Sequential"),
        "expanded": ({"w": torch.ones(1).expand(1000, 1000)}, "'w' is an expanded view"),
        "quantized": ({"q": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)},
                      "holds a quantized tensor"),
        "complex": ({"c": torch.ones(3, dtype=torch.complex64)}, "torch.ComplexFloatStorage"),
        "single": (torch.ones(3), "holds a single tensor"),
        "no-tensors": ({"epoch": 3, "lr": 0.1}, "its keys are: 'epoch', 'lr'"),
        "list": ([torch.ones(3)], "holds no dictionary"),
    }
    for name, (content, line) in refused.items():
        for suffix, new in (("", True), ("-legacy", False)):
            torch.save(content, maker.path(f"{name}{suffix}.pth"),
                       _use_new_zipfile_serialization=new)
            with open(maker.path(f"{name}{suffix}.refused"), "w") as file:
                file.write(line)
    torch.jit.script(nn.Linear(2, 2)).save(maker.path("torchscript.pth"))
    with open(maker.path("torchscript.refused"), "w") as file:
        file.write("is a TorchScript program")

    # Arrays.
    arrays = {name: tensor.numpy() for name, tensor in dtypes.items() if name != "bf16"}
    arrays["fortran"] = numpy.asfortranarray(grid.numpy())
    arrays["scalar"] = numpy.array(2.5, numpy.float32)
    arrays["empty"] = numpy.zeros((0, 3), numpy.float32)
    for name, array in arrays.items():
        numpy.save(maker.path(f"array-{name}.npy"), array)
        maker.expect(f"array-{name}", {"array": torch.from_numpy(numpy.ascontiguousarray(array))
                                       .view(array.shape)})
    for version in ((2, 0), (3, 0)):
        with open(maker.path(f"array-version{version[0]}.npy"), "wb") as file:
            numpy.lib.format.write_array(file, arrays["f32"], version)
        maker.expect(f"array-version{version[0]}", {"array": dtypes["f32"]})


def check(folder):
    """Every file that Caldera wrote back is loaded as PyTorch's users do."""
    back = os.path.join(folder, "back")
    names = sorted(name[:-4] for name in os.listdir(back) if name.endswith(".pth"))
    assert names, "nothing was written back"
    for name in names:
        state = torch.load(os.path.join(back, name + ".pth"), weights_only=True)
        assert isinstance(state, collections.OrderedDict)
        with open(os.path.join(folder, name + ".expected")) as file:
            lines = file.read().split("\n")[1:-1]
        found = [f"{key}\t{describe(tensor)}" for key, tensor in state.items()]
        assert found == lines, f"{name}: {found} is not {lines}"
        with zipfile.ZipFile(os.path.join(back, name + ".pth")) as archive:
            assert archive.testzip() is None
    model = net()[0]
    model.load_state_dict(torch.load(os.path.join(back, "bare.pth"), weights_only=True), strict=True)
    for name in sorted(os.listdir(back)):
        if name.endswith(".npy"):
            array = torch.from_numpy(numpy.load(os.path.join(back, name)))
            with open(os.path.join(folder, name[:-4] + ".expected")) as file:
                assert file.read().split("\n")[1] == f"array\t{describe(array)}", name
    written = torch.load(os.path.join(folder, "written-zip64.pth"), weights_only=True)
    assert written["w"].tolist() == [0.0] * 8
    print(f"{len(names)} checkpoints came back whole")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](sys.argv[2])
