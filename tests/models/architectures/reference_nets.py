#!/usr/bin/env python3
"""Every architecture as PyTorch has it: the outside truth for names, shapes and logits.

usage: reference_nets.py FOLDER

Uses torchvision's own classes where it has them, and small modules written here from the papers
for the rest. Writes to FOLDER:

  architectures.json  each architecture's parameter count, multiply-adds at its default size, and
                      the names and shapes of its state_dict
  NAME.pth            for each case a state_dict with random weights and running statistics (f16
                      where the net is large)
  NAME.input.npy      float32 [N, C, H, W]
  NAME.logits.npy     float32 [N, classes], by PyTorch on the CPU
  manifest.json       the cases: name, architecture, batch, channels, height, width, file, input,
                      logits; written last

A folder that this very script has filled already is left as it is.
"""

import contextlib
import hashlib
import json
import math
import pathlib
import sys

import numpy
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torchvision.models import resnet, vgg

# (architecture, batch, height, width). Small and odd sizes, so that the suite stays fast; 224 once
# for each kind of net.
CASES = [
    ("resnet18", 1, 224, 224),
    ("resnet34", 3, 33, 47),
    ("resnet50", 1, 224, 224),
    ("resnet50", 8, 33, 33),
    ("resnet101", 1, 64, 48),
    ("resnet152", 3, 33, 41),
    ("resnet50:stride=first,classes=10", 3, 45, 39),
    ("resnet18:shortcut=a", 8, 33, 35),
    ("resnet34:shortcut=a,zeros=centered,classes=5", 1, 47, 33),
    ("resnet50:shortcut=a,classes=10", 1, 39, 33),
    ("resnet34:shortcut=c,classes=10", 3, 33, 33),
    ("resnet50:shortcut=c,classes=3", 1, 65, 37),
    ("resnet18:classes=2,channels=1", 3, 1, 1),
    ("plain18", 3, 64, 64),
    ("plain34", 1, 61, 53),
    ("resnext50_32x4d", 1, 224, 224),
    ("resnext101_32x8d", 1, 33, 33),
    ("resnext101_64x4d", 3, 35, 33),
    ("wide_resnet50_2", 3, 33, 33),
    ("wide_resnet101_2", 1, 33, 45),
    ("preact_resnet18", 1, 224, 224),
    ("preact_resnet34", 3, 33, 33),
    ("preact_resnet50", 8, 33, 37),
    ("preact_resnet101", 1, 41, 33),
    ("preact_resnet152", 1, 49, 33),
    ("preact_resnet50:stride=first,classes=10", 1, 33, 33),
    ("preact_resnet18:shortcut=a,classes=10", 3, 33, 33),
    ("cifar_resnet20", 8, 32, 32),
    ("cifar_resnet32", 3, 32, 32),
    ("cifar_resnet44", 1, 32, 32),
    ("cifar_resnet56", 3, 29, 31),
    ("cifar_resnet110", 1, 32, 32),
    ("cifar_resnet1202", 1, 11, 13),
    ("cifar_resnet20:zeros=end", 8, 17, 15),
    ("cifar_resnet32:shortcut=b", 3, 32, 32),
    ("cifar_resnet20:shortcut=c,classes=37,channels=1", 3, 9, 7),
    ("cifar_resnet29:block=bottleneck", 1, 19, 17),
    ("cifar_preact_resnet56", 1, 17, 15),
    ("cifar_plain20", 8, 32, 32),
    ("cifar_plain32", 3, 17, 19),
    ("cifar_plain44", 1, 32, 32),
    ("cifar_plain56", 3, 15, 15),
    ("cifar_plain110", 1, 24, 20),
    ("cifar_plain1202", 1, 9, 11),
    ("cifar_preact_resnet20", 8, 32, 32),
    ("cifar_preact_resnet110", 1, 25, 23),
    ("cifar_preact_resnet164", 3, 16, 16),
    ("cifar_preact_resnet1001", 1, 9, 11),
    ("vgg11", 1, 224, 224),
    ("vgg11_bn", 1, 32, 32),
    ("vgg13", 1, 33, 32),
    ("vgg13_bn", 8, 32, 32),
    ("vgg16", 1, 64, 48),
    ("vgg16_bn", 1, 32, 35),
    ("vgg19", 1, 32, 32),
    ("vgg19_bn", 3, 33, 37),
]

# Described in architectures.json besides those above, without weights.
OTHERS = [
    "cifar_preact_resnet164:block=basic", "resnet50:groups=32,width=4",
    "resnet50:layers=2-2-2-2", "cifar_resnet20:layers=1-2-3",
]

LARGE = 15_000_000  # Parameters from which a net is saved in f16, to spare the disk.


class ZeroPad(nn.Module):
    """Option A: every second pixel, zeros for the new channels."""

    def __init__(self, stride, missing, centered):
        super().__init__()
        self.stride = stride
        self.before = missing // 2 if centered else 0
        self.after = missing - self.before

    def forward(self, x):
        x = x[:, :, ::self.stride, ::self.stride]
        return functional.pad(x, (0, 0, 0, 0, self.before, self.after))


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Block(nn.Module):
    """Any residual block of the papers; torchvision's names, the shortcut's module by argument."""

    def __init__(self, inputs, planes, stride, o):
        super().__init__()
        if o["block"] == "bottleneck":
            outputs = 4 * planes
            width = int(planes * (o["width"] / 64.0)) * o["groups"]
            first, middle = (stride, 1) if o["stride"] == "first" else (1, stride)
            layers = [(inputs, width, 1, first, 1), (width, width, 3, middle, o["groups"]),
                      (width, outputs, 1, 1, 1)]
        else:
            outputs = planes
            layers = [(inputs, planes, 3, stride, 1), (planes, planes, 3, 1, 1)]
        self.preactivation = o["preactivation"]
        self.plain = o["shortcut"] == "none"
        self.count = len(layers)
        for i, layer in enumerate(layers, 1):
            self.add_module(f"conv{i}", conv(*layer))
            self.add_module(f"bn{i}", nn.BatchNorm2d(layer[0] if self.preactivation else layer[1]))
        self.shortcut_name = o["shortcut_name"]
        changes = stride != 1 or inputs != outputs
        shortcut = None
        if o["shortcut"] == "c" or (o["shortcut"] == "b" and changes):
            shortcut = nn.Sequential(conv(inputs, outputs, 1, stride))
            if not self.preactivation:
                shortcut.append(nn.BatchNorm2d(outputs))
        elif o["shortcut"] == "a" and changes:
            shortcut = ZeroPad(stride, outputs - inputs, o["zeros"] == "centered")
        self.projects = isinstance(shortcut, nn.Sequential)
        self.add_module(self.shortcut_name, shortcut)
        self.outputs = outputs

    def forward(self, x):
        shortcut = getattr(self, self.shortcut_name)
        y = x
        for i in range(1, self.count + 1):
            conv_i, bn_i = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
            if self.preactivation:
                y = functional.relu(bn_i(y))
                if i == 1 and self.projects:  # A projection takes the activated input.
                    x = y
                y = conv_i(y)
            else:
                y = bn_i(conv_i(y))
                if i < self.count:
                    y = functional.relu(y)
        if not self.plain:
            y = y + (shortcut(x) if shortcut is not None else x)
        return y if self.preactivation else functional.relu(y)


class ResidualNet(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.cifar = o["cifar"]
        self.preactivation = o["preactivation"]
        planes = 16 if self.cifar else 64
        self.conv1 = (conv(o["channels"], planes, 3) if self.cifar
                      else conv(o["channels"], planes, 7, 2))
        if not self.preactivation:
            self.bn1 = nn.BatchNorm2d(planes)
        inputs = planes
        self.stages = len(o["layers"])
        for stage, count in enumerate(o["layers"]):
            blocks = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(Block(inputs, planes << stage, stride, o))
                inputs = blocks[-1].outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        if self.preactivation:
            self.bn = nn.BatchNorm2d(inputs)
        self.head = "linear" if self.cifar else "fc"
        self.add_module(self.head, nn.Linear(inputs, o["classes"]))

    def forward(self, x):
        x = self.conv1(x)
        if not self.preactivation:
            x = functional.relu(self.bn1(x))
        if not self.cifar:
            x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        if self.preactivation:
            x = functional.relu(self.bn(x))
        return getattr(self, self.head)(x.mean((2, 3)))


DEPTHS = {18: ("basic", [2, 2, 2, 2]), 34: ("basic", [3, 4, 6, 3]),
          50: ("bottleneck", [3, 4, 6, 3]), 101: ("bottleneck", [3, 4, 23, 3]),
          152: ("bottleneck", [3, 8, 36, 3])}
TORCHVISION = {
    **{f"resnet{depth}": dict(depth=depth) for depth in DEPTHS},
    "resnext50_32x4d": dict(depth=50, groups=32, width=4),
    "resnext101_32x8d": dict(depth=101, groups=32, width=8),
    "resnext101_64x4d": dict(depth=101, groups=64, width=4),
    "wide_resnet50_2": dict(depth=50, width=128),
    "wide_resnet101_2": dict(depth=101, width=128),
}


def parse(full_name):
    name, _, text = full_name.partition(":")
    given = dict(item.split("=") for item in text.split(",") if item)
    for key in ("classes", "channels", "groups", "width"):
        if key in given:
            given[key] = int(given[key])
    if "layers" in given:
        given["layers"] = [int(count) for count in given["layers"].split("-")]
    return name, given


def cifar_options(name, given):
    family, depth = name.rstrip("0123456789"), int(name[len(name.rstrip("0123456789")):])
    preactivation = family == "cifar_preact_resnet"
    bottleneck = preactivation and (depth == 164 or (depth - 2) % 6 != 0)
    block = given.get("block", "bottleneck" if bottleneck else "basic")
    count = (depth - 2) // (9 if block == "bottleneck" else 6)
    shortcut = ("none" if family == "cifar_plain"
                else "b" if preactivation and block == "bottleneck" else "a")
    return dict(cifar=True, shortcut_name="shortcut", preactivation=preactivation, block=block,
                layers=[count] * 3, shortcut=shortcut, zeros="centered", stride="3x3", groups=1,
                width=64, classes=10, channels=3, **{}) | given


def imagenet_options(name, given):
    base = TORCHVISION.get(name) or dict(depth=int(name[len(name.rstrip("0123456789")):]))
    block, layers = DEPTHS[base["depth"]]
    return dict(cifar=False, shortcut_name="downsample",
                preactivation=name.startswith("preact"), block=block, layers=layers,
                shortcut="none" if name.startswith("plain") else "b", zeros="end", stride="3x3",
                groups=base.get("groups", 1), width=base.get("width", 64), classes=1000,
                channels=3) | given


def set_channels(module, name, channels):
    """Another count of input channels, which torchvision has no argument for."""
    old = getattr(module, name)
    if old.in_channels != channels:
        setattr(module, name, nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride,
                                        old.padding, bias=old.bias is not None))


def make_net(full_name):
    name, given = parse(full_name)
    if name.startswith("cifar"):
        return ResidualNet(cifar_options(name, given))
    if name.startswith("vgg"):
        return getattr(vgg, name)(num_classes=given.get("classes", 1000))
    o = imagenet_options(name, given)
    if name not in TORCHVISION or o["shortcut"] != "b":
        return ResidualNet(o)
    block = resnet.Bottleneck if o["block"] == "bottleneck" else resnet.BasicBlock
    net = resnet.ResNet(block, o["layers"], num_classes=o["classes"], groups=o["groups"],
                        width_per_group=o["width"])
    set_channels(net, "conv1", o["channels"])
    if o["stride"] == "first":
        for module in net.modules():
            if isinstance(module, resnet.Bottleneck):
                module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
    return net


@contextlib.contextmanager
def no_initialization():
    """Modules without their own random weights, which cost more than all the rest."""
    names = [name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_")]
    saved = {name: getattr(nn.init, name) for name in names}
    for name in names:
        setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(nn.init, name, function)


def rms(x):
    return x.pow(2).mean().sqrt().clamp_min(1e-12)


class Randomizer:
    """Random weights, made as a forward pass goes, so that activations stay near 1 at any depth.

    Convolutions and linear layers are scaled to an output of root mean square 1. Batch-norms take
    running statistics about the mean square of what comes in, not about its variance: dividing by
    the variance would amplify what differs between images and, in a plain net of 110 layers,
    rounding errors with it.
    """

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.table = torch.randn(1_048_573, generator=self.generator)

    def uniform(self, count, low, high):
        return torch.rand(count, generator=self.generator) * (high - low) + low

    def normal(self, shape):
        count = math.prod(shape)
        start = int(torch.randint(len(self.table), (1,), generator=self.generator))
        table = self.table.roll(-start)
        return table.repeat(-(-count // len(table)))[:count].reshape(shape)

    def fill_weights(self, module):
        fan_in = module.weight[0].numel()
        module.weight.data = self.normal(module.weight.shape) * math.sqrt(2 / fan_in)
        if module.bias is not None:
            module.bias.data = self.normal(module.bias.shape) * 0.1

    def scale_weights(self, module, inputs, output):
        scale = rms(output)
        module.weight.data /= scale
        if module.bias is not None:
            module.bias.data /= scale
        return output / scale

    def set_statistics(self, module, inputs):
        count, scale = module.num_features, rms(inputs[0])
        module.weight.data = self.uniform(count, 0.5, 1.5)
        module.bias.data = self.normal((count,)) * 0.2
        module.running_mean = self.normal((count,)) * 0.1 * scale
        module.running_var = self.uniform(count, 0.5, 2.0) * scale ** 2
        module.num_batches_tracked = torch.randint(1, 100_000, (), generator=self.generator)

    def randomize(self, net, x):
        hooks = []
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                self.fill_weights(module)
                hooks.append(module.register_forward_hook(self.scale_weights))
            elif isinstance(module, nn.BatchNorm2d):
                hooks.append(module.register_forward_pre_hook(self.set_statistics))
        net(x)
        for hook in hooks:
            hook.remove()


def round_to_half(net):
    """Rounds the net's values to f16 in place; the state_dict to save, in f16."""
    state = {}
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            half = tensor.half()
            tensor.copy_(half.float())
            tensor = half
        state[name] = tensor
    return state


def write_case(folder, architecture, batch, height, width):
    name = architecture.translate(str.maketrans(":=,-", "____")) + f"_b{batch}_{height}x{width}"
    randomizer = Randomizer(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
    channels = parse(architecture)[1].get("channels", 3)
    with no_initialization():
        net = make_net(architecture).eval()
    x = torch.randn((batch, channels, height, width), generator=randomizer.generator)
    randomizer.randomize(net, x)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    state = round_to_half(net) if parameters > LARGE else net.state_dict()
    logits = net(x)

    # The case must be able to fail: finite, and no image's logits near another's.
    assert logits.isfinite().all(), name
    assert 0.05 < rms(logits) < 20, (name, rms(logits))
    for i in range(1, batch):
        assert rms(logits[i] - logits[0]) > 0.005 * rms(logits[0]), name

    files = dict(file=f"{name}.pth", input=f"{name}.input.npy", logits=f"{name}.logits.npy")
    torch.save(state, folder / files["file"])
    numpy.save(folder / files["input"], x.numpy())
    numpy.save(folder / files["logits"], logits.numpy())
    return dict(name=name, architecture=architecture, batch=batch, channels=channels,
                height=height, width=width, **files)


def describe(architecture):
    with no_initialization():
        net = make_net(architecture).eval().to("meta")
    adds = 0

    def count(module, inputs, output):
        nonlocal adds
        adds += output.numel() * module.weight[0].numel()

    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    size = 32 if architecture.startswith("cifar") else 224
    channels = parse(architecture)[1].get("channels", 3)
    net(torch.empty((1, channels, size, size), device="meta"))
    return dict(name=architecture, multiply_adds=adds,
                parameters=sum(parameter.numel() for parameter in net.parameters()),
                tensors={name: list(tensor.shape) for name, tensor in net.state_dict().items()})


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.json"
    maker = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    maker += f" torch {torch.__version__} torchvision {torchvision.__version__}"
    if manifest.exists():
        old = json.loads(manifest.read_text())
        if old["maker"] == maker and all((folder / case[key]).exists() for case in old["cases"]
                                         for key in ("file", "input", "logits")):
            return
        manifest.unlink()

    torch.set_grad_enabled(False)
    names = list(dict.fromkeys([case[0] for case in CASES] + OTHERS))
    (folder / "architectures.json").write_text(json.dumps([describe(name) for name in names]))
    cases = [write_case(folder, *case) for case in CASES]
    partial = folder / "manifest.json.partial"
    partial.write_text(json.dumps(dict(maker=maker, cases=cases), indent=1))
    partial.rename(manifest)


if __name__ == "__main__":
    main()
