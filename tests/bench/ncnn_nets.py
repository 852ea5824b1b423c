"""ResNets and VGG as ncnn reads them: a .param file of layers and a .bin file of weights.

They are what its converter makes of torchvision's nets: batch-norm folded into the convolutions,
ReLU fused where a convolution or linear layer comes before it. Where the weights come from is left
to the caller, so that the same writer serves timing (random ones) and checking (PyTorch's).
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

import numpy

Array = numpy.ndarray[Any, numpy.dtype[Any]]
# Weight and bias of the layer that torchvision gives this name, the weight of this shape.
Parameters = Callable[[str, tuple[int, ...]], tuple[Array, Array]]

SIZE = 224
CLASSES = 1000
PARAM_MAGIC = 7767517
FLOAT32_WEIGHTS = 0  # What stands before a layer's weights, though not before its bias.
RESNETS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


class NetFiles(NamedTuple):
    param: pathlib.Path
    weights: pathlib.Path

    @classmethod
    def inside(cls, folder: pathlib.Path) -> "NetFiles":
        return cls(folder / "net.param", folder / "net.bin")


class Blob(NamedTuple):
    name: str
    channels: int


@dataclass
class Writer:
    """Collects the lines of a .param file, and writes the weights as they come."""

    parameters: Parameters
    weights: BinaryIO
    lines: list[str] = field(default_factory=list)
    blobs: int = 0

    def text(self) -> str:
        return "\n".join([str(PARAM_MAGIC), f"{len(self.lines)} {self.blobs}", *self.lines, ""])

    def layer(self, kind: str, name: str, inputs: list[Blob], outputs: list[str],
              options: dict[int, int]) -> None:
        """Options by the numbers that ncnn documents for each kind of layer."""
        blobs = [blob.name for blob in inputs] + outputs
        settings = [f"{key}={value}" for key, value in options.items()]
        self.lines.append(" ".join([kind, name, str(len(inputs)), str(len(outputs)),
                                    *blobs, *settings]))
        self.blobs += len(outputs)

    def store(self, name: str, shape: tuple[int, ...]) -> int:
        """Writes a layer's weight and bias; gives the weight's element count."""
        weight, bias = self.parameters(name, shape)
        self.weights.write(FLOAT32_WEIGHTS.to_bytes(4, "little"))
        self.weights.write(weight.astype("<f4").tobytes())
        self.weights.write(bias.astype("<f4").tobytes())
        return weight.size

    def input(self, channels: int) -> Blob:
        self.layer("Input", "data", [], ["data"], {0: SIZE, 1: SIZE, 2: channels})
        return Blob("data", channels)

    def conv(self, name: str, x: Blob, channels: int, kernel: int, stride: int = 1,
             relu: bool = True) -> Blob:
        elements = self.store(name, (channels, x.channels, kernel, kernel))
        self.layer("Convolution", name, [x], [name],
                   {0: channels, 1: kernel, 3: stride, 4: kernel // 2, 5: 1, 6: elements,
                    9: int(relu)})
        return Blob(name, channels)

    def linear(self, name: str, x: Blob, features: int, relu: bool = False) -> Blob:
        elements = self.store(name, (features, x.channels))
        self.layer("InnerProduct", name, [x], [name],
                   {0: features, 1: 1, 2: elements, 9: int(relu)})
        return Blob(name, features)

    def max_pool(self, name: str, x: Blob, kernel: int, padding: int) -> Blob:
        rounds_down = 1
        self.layer("Pooling", name, [x], [name],
                   {0: 0, 1: kernel, 2: 2, 3: padding, 5: rounds_down})
        return Blob(name, x.channels)

    def global_average(self, name: str, x: Blob) -> Blob:
        self.layer("Pooling", name, [x], [name], {0: 1, 4: 1})
        return Blob(name, x.channels)

    def split(self, x: Blob) -> tuple[Blob, Blob]:
        """ncnn wants a blob of its own for each that reads one."""
        halves = [f"{x.name}_0", f"{x.name}_1"]
        self.layer("Split", f"{x.name}_split", [x], halves, {})
        return Blob(halves[0], x.channels), Blob(halves[1], x.channels)

    def add_relu(self, name: str, a: Blob, b: Blob) -> Blob:
        self.layer("BinaryOp", f"{name}.add", [a, b], [f"{name}.add"], {0: 0})
        self.layer("ReLU", f"{name}.relu", [Blob(f"{name}.add", a.channels)], [name], {})
        return Blob(name, a.channels)

    def flatten(self, name: str, x: Blob, features: int) -> Blob:
        self.layer("Flatten", name, [x], [name], {})
        return Blob(name, features)


def basic_block(net: Writer, name: str, x: Blob, width: int, stride: int) -> Blob:
    x = net.conv(f"{name}.conv1", x, width, 3, stride)
    return net.conv(f"{name}.conv2", x, width, 3, relu=False)


def bottleneck(net: Writer, name: str, x: Blob, width: int, stride: int) -> Blob:
    x = net.conv(f"{name}.conv1", x, width, 1)
    x = net.conv(f"{name}.conv2", x, width, 3, stride)
    return net.conv(f"{name}.conv3", x, 4 * width, 1, relu=False)


def write_resnet(net: Writer, architecture: str) -> None:
    block = basic_block if architecture == "resnet18" else bottleneck
    x = net.max_pool("maxpool", net.conv("conv1", net.input(3), 64, 7, 2), 3, 1)
    for stage, blocks in enumerate(RESNETS[architecture]):
        for index in range(blocks):
            name = f"layer{stage + 1}.{index}"
            stride = 2 if stage > 0 and index == 0 else 1
            shortcut, x = net.split(x)
            x = block(net, name, x, 64 << stage, stride)
            if (stride, shortcut.channels) != (1, x.channels):
                shortcut = net.conv(f"{name}.downsample.0", shortcut, x.channels, 1, stride, False)
            x = net.add_relu(name, x, shortcut)
    net.linear("fc", net.global_average("avgpool", x), CLASSES)


def write_vgg16(net: Writer) -> None:
    x = net.input(3)
    index = 0  # torchvision counts the ReLUs too.
    for step in VGG16:
        if step == "M":
            x = net.max_pool(f"features.{index}", x, 2, 0)
            index += 1
        else:
            x = net.conv(f"features.{index}", x, int(step), 3)
            index += 2
    x = net.flatten("flatten", x, x.channels * (SIZE // 32) ** 2)
    x = net.linear("classifier.0", x, 4096, relu=True)
    x = net.linear("classifier.3", x, 4096, relu=True)
    net.linear("classifier.6", x, CLASSES)


def write_net(architecture: str, parameters: Parameters, folder: pathlib.Path) -> NetFiles:
    """The two files of resnet18, resnet50 or vgg16, written into a folder."""
    files = NetFiles.inside(folder)
    with files.weights.open("wb") as weights:
        net = Writer(parameters, weights)
        if architecture in RESNETS:
            write_resnet(net, architecture)
        else:
            write_vgg16(net)
    files.param.write_text(net.text())
    return files


def random_parameters(seed: int) -> Parameters:
    """Seeded weights that keep activations at their scale (He et al., arXiv 1502.01852)."""
    random = numpy.random.default_rng(seed)

    def parameters(_: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
        deviation = numpy.sqrt(2 / numpy.prod(shape[1:]), dtype=numpy.float32)
        weight = random.standard_normal(shape, dtype=numpy.float32) * deviation
        return weight, numpy.zeros(shape[0], numpy.float32)

    return parameters
