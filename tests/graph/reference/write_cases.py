"""Writes operator cases with PyTorch's outputs, for reference_test.

Usage: write_cases.py FOLDER. Makes FOLDER/cases.json (operator, attributes, shapes and offsets)
and FOLDER/data.bin (float32, one tensor after another). The reference is what device kernels are
held against, so what it means is fixed here, by PyTorch, down to the corners of its attributes.
"""
import itertools
import os
import sys

import torch
import torch.nn.functional as F

import write_training_cases
from case_writer import ACTIVATIONS, Writer, random


def double(x):
    return None if x is None else x.double()


def finish(y, residual, activation):
    return ACTIVATIONS[activation](y if residual is None else y + residual.double())


def conv2d(out, name, x, o, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
           bias=False, residual=False, activation="none"):
    x = random(*x)
    weight = random(o, x.shape[1] // groups, *kernel)
    b = random(o) if bias else None
    y = F.conv2d(x.double(), weight.double(), double(b), stride, padding, dilation, groups)
    r = random(*y.shape) if residual else None
    attrs = dict(stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
                 residual=residual, activation=activation)
    inputs = [t for t in (x, weight, b, r) if t is not None]
    out.case(name, "conv2d", attrs, inputs, finish(y, r, activation))


def convolutions(out):
    conv2d(out, "1x1", (1, 3, 5, 4), 2, (1, 1))
    conv2d(out, "3x3", (2, 4, 7, 5), 3, (3, 3), padding=(1, 1))
    conv2d(out, "stem", (1, 3, 32, 32), 8, (7, 7), (2, 2), (3, 3))
    conv2d(out, "strided 1x1", (1, 5, 7, 7), 6, (1, 1), (2, 2))
    conv2d(out, "non-square everything", (2, 3, 13, 17), 5, (3, 5), (2, 3), (1, 4), (3, 2))
    conv2d(out, "dilated", (1, 2, 11, 11), 3, (3, 3), (1, 1), (2, 2), (2, 2))
    conv2d(out, "padded beyond the kernel", (1, 2, 3, 3), 3, (2, 2), (1, 1), (4, 5))
    conv2d(out, "stride that skips the end", (1, 2, 8, 8), 3, (3, 3), (4, 4))
    conv2d(out, "kernel as large as the image", (3, 2, 5, 4), 3, (5, 4))
    conv2d(out, "groups", (2, 6, 7, 7), 9, (3, 3), padding=(1, 1), groups=3)
    conv2d(out, "depthwise", (2, 7, 9, 9), 7, (3, 3), (2, 2), (1, 1), groups=7)
    conv2d(out, "depthwise, multiplied", (1, 5, 6, 6), 10, (3, 3), groups=5)
    conv2d(out, "bias", (1, 3, 5, 5), 4, (3, 3), bias=True)
    conv2d(out, "residual", (1, 3, 5, 5), 4, (3, 3), residual=True)
    for activation in ACTIVATIONS:
        conv2d(out, "bias, residual, " + activation, (2, 3, 5, 5), 4, (3, 3), bias=True,
               residual=True, activation=activation)


def batch_norms(out):
    for shape in [(2, 5, 3, 4), (3, 7), (1, 1, 1, 1)]:
        for residual, activation in [(False, "none"), (False, "silu"), (True, "relu")]:
            x, c = random(*shape), shape[1]
            weight, bias, mean = random(c), random(c), random(c)
            var = torch.rand(c) + 0.1
            y = F.batch_norm(x.double(), mean.double(), var.double(), weight.double(),
                             bias.double(), False, 0.1, 1e-3)
            r = random(*shape) if residual else None
            inputs = [t for t in (x, weight, bias, mean, var, r) if t is not None]
            attrs = dict(eps=1e-3, residual=residual, activation=activation)
            out.case("%s %s" % (list(shape), activation), "batch_norm", attrs, inputs,
                     finish(y, r, activation))


def pointwise(out):
    special = torch.tensor([[float("nan"), -0.0, 0.0, -3.0, 3.0, 6.0, -100.0, 100.0, 1e-30, 1e30,
                             2.9999, -2.9999]])
    for activation in ACTIVATIONS:
        x = random(2, 3, 4, 5) * 4
        out.case(activation, "activation", {"activation": activation}, [x],
                 ACTIVATIONS[activation](x))
        x = special
        out.case(activation + ", special values", "activation", {"activation": activation}, [x],
                 ACTIVATIONS[activation](x))
    for op, function in [("add", torch.add), ("multiply", torch.mul)]:
        for name, a, b in [("same shape", (2, 3, 4, 5), (2, 3, 4, 5)), ("2-d", (3, 7), (3, 7)),
                           ("gate", (2, 3, 4, 5), (2, 3, 1, 1)),
                           ("gate of one pixel", (2, 3, 1, 1), (2, 3, 1, 1))]:
            for activation in ["none", "relu", "hard_swish"]:
                x, y = random(*a), random(*b)
                out.case(name + ", " + activation, op, {"activation": activation}, [x, y],
                         ACTIVATIONS[activation](function(x, y)))
    nan, inf = float("nan"), float("inf")
    unlike = torch.tensor([[1, nan, 2], [nan, 1, 2], [1, inf, 2], [1, -inf, 2], [-inf, -inf, -inf]])
    for name, x in [("2-d", random(3, 10)), ("4-d", random(2, 5, 3, 4)),
                    ("NaN and infinities", unlike),
                    ("large logits", random(2, 7) * 1e4), ("one class", random(2, 1)),
                    ("equal", torch.full((1, 4), -1e30))]:
        out.case(name, "softmax", {}, [x], F.softmax(x.double(), 1))


def max_pools(out):
    # PyTorch wants padding of at most half the kernel.
    kernels = [(1, 1), (2, 2), (3, 3), (3, 2), (2, 5)]
    strides = [(1, 1), (2, 2), (3, 2), (4, 5)]
    for (h, w), kernel, stride, dilation, ceil_mode in itertools.product(
            [(7, 7), (6, 9), (1, 1)], kernels, strides, [(1, 1), (2, 3)], [False, True]):
        for padding in {(0, 0), (kernel[0] // 2, kernel[1] // 2)}:
            x = random(2, 3, h, w)
            try:
                y = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
            except RuntimeError:
                continue  # The output would be empty.
            name = "%dx%d k%s s%s p%s d%s ceil %s" % (h, w, kernel, stride, padding, dilation,
                                                      ceil_mode)
            attrs = dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation,
                         ceil_mode=ceil_mode)
            out.case(name, "max_pool2d", attrs, [x], y)
    attrs = dict(kernel=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), ceil_mode=False)
    x = random(1, 2, 9, 9)
    x[0, 0, 4, 4] = float("nan")
    x[0, 1, 0, 0] = float("nan")
    x[0, 1, 8, 7] = float("-inf")
    out.case("NaN", "max_pool2d", attrs, [x], F.max_pool2d(x, 3, 2, 1))
    x = torch.full((1, 1, 4, 4), float("-inf"))
    out.case("minus infinity", "max_pool2d", attrs, [x], F.max_pool2d(x, 3, 2, 1))


def avg_pools(out):
    for (h, w), kernel, stride, ceil_mode, count in itertools.product(
            [(7, 7), (6, 9), (3, 2)], [(1, 1), (2, 2), (3, 3), (3, 2), (2, 5)],
            [(1, 1), (2, 2), (3, 2), (4, 5)], [False, True], [False, True]):
        for padding in {(0, 0), (kernel[0] // 2, kernel[1] // 2)}:
            x = random(2, 3, h, w)
            try:
                y = F.avg_pool2d(x.double(), kernel, stride, padding, ceil_mode, count)
            except RuntimeError:
                continue  # The output would be empty.
            name = "%dx%d k%s s%s p%s ceil %s count %s" % (h, w, kernel, stride, padding,
                                                           ceil_mode, count)
            attrs = dict(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                         count_include_pad=count)
            out.case(name, "avg_pool2d", attrs, [x], y)
    for (h, w), output in itertools.product([(7, 7), (1, 1), (5, 13), (32, 9)],
                                            [(1, 1), (7, 7), (3, 5), (2, 1), (10, 16)]):
        x = random(2, 3, h, w)
        out.case("%dx%d to %s" % (h, w, output), "adaptive_avg_pool2d", dict(output=output), [x],
                 F.adaptive_avg_pool2d(x.double(), output))


def linears(out):
    for n, i, o, bias, residual, activation in [
            (1, 1, 1, False, False, "none"), (3, 7, 5, True, False, "none"),
            (2, 113, 17, False, True, "relu"), (5, 64, 10, True, True, "sigmoid"),
            (1, 512, 1000, True, False, "relu6")]:
        x, weight = random(n, i), random(o, i)
        b = random(o) if bias else None
        r = random(n, o) if residual else None
        y = F.linear(x.double(), weight.double(), double(b))
        inputs = [t for t in (x, weight, b, r) if t is not None]
        attrs = dict(bias=bias, residual=residual, activation=activation)
        out.case("%dx%d -> %d, %s" % (n, i, o, activation), "linear", attrs, inputs,
                 finish(y, r, activation))


def rearrangements(out):
    for channels in [[3], [1, 4], [7, 3, 5], [2, 1, 1, 6]]:
        xs = [random(2, c, 3, 5) for c in channels]
        out.case("channels %s" % channels, "concat", {}, xs, torch.cat(xs, 1))
    xs = [random(3, 4), random(3, 5)]
    out.case("2-d", "concat", {}, xs, torch.cat(xs, 1))
    for before, after, top, bottom, left, right in [(0, 0, 1, 2, 3, 4), (1, 2, 0, 0, 0, 0),
                                                    (8, 8, 0, 0, 0, 0), (3, 0, 1, 0, 0, 2),
                                                    (0, 0, 0, 0, 0, 0), (-1, -1, 0, 0, 0, 0),
                                                    (0, 0, -1, -2, -3, -1), (2, -1, -2, 1, 3, -4)]:
        x = random(2, 3, 4, 5)
        attrs = dict(channels_before=before, channels_after=after, top=top, bottom=bottom,
                     left=left, right=right)
        out.case(str(list(attrs.values())), "pad", attrs, [x],
                 F.pad(x, (left, right, top, bottom, before, after)))
    for (h, w), stride in itertools.product([(8, 8), (7, 5), (1, 1)], [(1, 1), (2, 2), (3, 2)]):
        x = random(2, 3, h, w)
        out.case("%dx%d by %s" % (h, w, stride), "subsample", dict(stride=stride), [x],
                 x[:, :, ::stride[0], ::stride[1]])
    for shape in [(2, 3, 4, 5), (1, 7, 1, 1), (3, 4)]:
        x = random(*shape)
        out.case(str(list(shape)), "flatten", {}, [x], torch.flatten(x, 1))
    # The reference computes in floats whatever the storage: of numbers that it holds nothing is lost.
    for storage, dtype in [("f32", torch.float32), ("f16", torch.float16),
                           ("bf16", torch.bfloat16)]:
        x = random(2, 3, 4, 5).to(dtype).float()
        out.case("to " + storage, "convert", {"to": storage}, [x], x.to(dtype).float())
    x = random(2, 3, 4, 5)
    out.case("inference", "dropout", dict(probability=0.5), [x], F.dropout(x, 0.5, False))


def main():
    torch.manual_seed(1)
    os.makedirs(sys.argv[1], exist_ok=True)
    out = Writer(sys.argv[1])
    for write in [convolutions, batch_norms, pointwise, max_pools, avg_pools, linears,
                  rearrangements, write_training_cases.write]:
        write(out)
    out.close()


if __name__ == "__main__":
    main()
