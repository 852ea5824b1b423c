#!/usr/bin/env python3
"""Turns a zip of JPEG files in class folders into the same tree of PNG files.

    make_cifar_png.py test.zip OUT          gives OUT/airplane/0000.png ...
    make_cifar_png.py --jpeg test.zip OUT   leaves the JPEG files as they are

The JPEG files are decoded by Pillow, which is to say by libjpeg. PNG is lossless, so that a test
which needs libjpeg's very pixels, and not another decoder's, reads them from here.
"""
import argparse
import io
import os
import zipfile

from PIL import Image


def convert(archive, out, per_class, jpeg):
    count = {}
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            stem, extension = os.path.splitext(name)
            if extension.lower() not in (".jpg", ".jpeg"):
                continue
            label, stem = stem.split("/")[-2:]
            count[label] = count.get(label, 0) + 1
            if per_class and count[label] > per_class:
                continue
            folder = os.path.join(out, label)
            os.makedirs(folder, exist_ok=True)
            data = files.read(name)
            if jpeg:
                with open(os.path.join(folder, stem + ".jpg"), "wb") as file:
                    file.write(data)
                continue
            image = Image.open(io.BytesIO(data)).convert("RGB")
            image.save(os.path.join(folder, stem + ".png"), compress_level=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive")
    parser.add_argument("out")
    parser.add_argument("--per-class", type=int, default=0, help="at most so many; 0: all")
    parser.add_argument("--jpeg", action="store_true", help="leave the JPEG files as they are")
    arguments = parser.parse_args()
    convert(arguments.archive, arguments.out, arguments.per_class, arguments.jpeg)
