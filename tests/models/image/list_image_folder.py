#!/usr/bin/env python3
"""Writes the samples of torchvision's ImageFolder, a path and a label a line.

    list_image_folder.py FOLDER OUT
"""
import sys

from torchvision.datasets import ImageFolder

with open(sys.argv[2], "wb") as out:
    for path, label in ImageFolder(sys.argv[1]).samples:
        out.write(("%s %d\n" % (path, label)).encode("utf-8", "surrogateescape"))
