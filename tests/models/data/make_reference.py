#!/usr/bin/env python3
"""What PyTorch and torchvision make of training data, for the C++ tests to compare with.

    make_reference.py targets OUT    losses and gradients of cross_entropy
    make_reference.py colors OUT     torchvision's changes of colour
    make_reference.py boxes OUT      means of its random crops and erasings

OUT/cases.txt lists the cases, a line each; images are PPM files.
"""
import itertools
import os
import random
import sys

import numpy
import torch
from PIL import Image
from torch.nn.functional import cross_entropy


def numbers(values):
    return " ".join("%.9g" % value for value in values)


def targets(out):
    """n classes smoothing ignore weighted mixed per_sample loss, labels, partners, weights of the
    mix, weights of classes, logits, gradient."""
    generator = torch.Generator().manual_seed(3)
    lines = []

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    def add(n, classes, smoothing, ignore, weighted, mixed, per_sample):
        logits = (3 * draw(n, classes)).requires_grad_()
        labels = torch.randint(0, classes, (n,), generator=generator)
        if ignore < 0:
            labels[1::3] = ignore
        weights = torch.rand(classes, generator=generator) + 0.1 if weighted else None
        partners = torch.randperm(n, generator=generator)
        mix = torch.rand(n if per_sample else 1, generator=generator).expand(n)
        options = {"label_smoothing": smoothing}
        if per_sample:
            hot = torch.nn.functional.one_hot(labels, classes).float()
            soft = mix[:, None] * hot + (1 - mix[:, None]) * hot[partners]
            loss = cross_entropy(logits, soft, **options)
        else:
            options.update(weight=weights, ignore_index=ignore)
            loss = cross_entropy(logits, labels, **options)
            if mixed:
                other = cross_entropy(logits, labels[partners], **options)
                loss = mix[0] * loss + (1 - mix[0]) * other
        loss.backward()
        lines.append(" ".join([
            "%d %d %.9g %d %d %d %d %.9g" % (n, classes, smoothing, ignore, weighted, mixed,
                                             per_sample, loss.item()),
            numbers(labels), numbers(partners), numbers(mix),
            numbers(weights if weighted else torch.ones(classes)),
            numbers(logits.detach().flatten()), numbers(logits.grad.flatten())]))

    for smoothing, ignore, weighted, mixed in itertools.product(
            (0, 0.1, 0.37, 1), (-100, -1, 2), (0, 1), (0, 1)):
        add(7, 5, smoothing, ignore, weighted, mixed, 0)
    for smoothing in (0, 0.2):
        add(6, 4, smoothing, 99, 0, 1, 1)
    return lines


def colors(out):
    from torchvision.transforms import functional as F
    generator = numpy.random.RandomState(2)
    y, x = numpy.mgrid[0:61, 0:83]
    waves = [127 + 127 * numpy.sin(x / 9.0 + c) * numpy.cos(y / 7.0 - c) for c in range(3)]
    images = [generator.randint(0, 256, (50, 70, 3)), numpy.stack(waves, -1),
              generator.randint(0, 30, (9, 11, 3)), numpy.full((4, 4, 3), 130)]
    changes = {"brightness": F.adjust_brightness, "contrast": F.adjust_contrast,
               "saturation": F.adjust_saturation, "hue": F.adjust_hue}
    lines = []
    for pixels in images:
        image = Image.fromarray(pixels.astype(numpy.uint8))
        for name, change in changes.items():
            factors = (-0.5, -0.21, 0, 0.1, 0.5) if name == "hue" else (0, 0.6, 0.87, 1, 1.21, 1.4)
            for factor in factors:
                image.save(os.path.join(out, "%d.in.ppm" % len(lines)))
                change(image, factor).save(os.path.join(out, "%d.out.ppm" % len(lines)))
                lines.append("%s %d %.9g" % (name, len(lines), factor))
    return lines


def boxes(out):
    """crop or erase, width height of the image, means of left, top, width, height, and the share
    of draws that gave none."""
    from torchvision.transforms import RandomErasing, RandomResizedCrop
    torch.manual_seed(5)
    random.seed(5)
    lines = []
    for width, height in ((500, 375), (32, 32), (60, 400), (400, 90)):
        image = torch.zeros(3, height, width)
        for kind in ("crop", "erase"):
            drawn = []
            for _ in range(4000):
                if kind == "crop":
                    box = RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3))
                else:
                    box = RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3), [0.0])
                    if box[2] == height and box[3] == width:
                        continue
                drawn.append([box[1], box[0], box[3], box[2]])
            lines.append("%s %d %d %s %.9g" % (kind, width, height,
                                               numbers(numpy.mean(drawn, 0)),
                                               1 - len(drawn) / 4000))
    return lines


if __name__ == "__main__":
    lines = {"targets": targets, "colors": colors, "boxes": boxes}[sys.argv[1]](sys.argv[2])
    with open(os.path.join(sys.argv[2], "cases.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")
