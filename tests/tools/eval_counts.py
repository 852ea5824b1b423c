#!/usr/bin/env python3
"""eval_counts.py CALDERA: `caldera eval` on the 5,000 CIFAR-10 test photographs.

With pixels as libjpeg decodes them (kept as PNG, which loses nothing) each net gets as many right
as PyTorch does. ResNet-20 gets as many within 15 from the JPEGs themselves, which stb_image decodes
a little otherwise, whatever the net; in fp16 it is within 0.2 points of itself in fp32.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

PYTORCH = {"resnet20-12fca82f.th": 4051, "resnet44-014dd654.th": 4132,
           "resnet56-4bfd9763.th": 4151}
DECODER_SLACK = 15
ONE = "resnet20-12fca82f.th"  # For fp16 and JPEGs, since a run takes long on a CPU.
FP16_SLACK = 10  # 0.2% of 5,000.
TESTS = pathlib.Path(__file__).resolve().parent.parent
MAKE_TREE = TESTS / "models" / "image" / "make_cifar_png.py"


def make_tree(archive, folder, *options):
    subprocess.run([sys.executable, MAKE_TREE, archive, folder, *options], check=True)
    return folder


def count(caldera, checkpoint, folder, precision="fp32"):
    done = subprocess.run([caldera, "eval", checkpoint, folder, "--batch", "100", "--json",
                           "--precision", precision], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    print(f"{checkpoint.name} on {folder.name}, {result['precision']}: {result['correct']} of "
          f"{result['images']}, {result['images_per_second']:.0f} images/s")
    assert result["images"] == 5000 and result["precision"] == precision, result
    return result["correct"]


def main():
    caldera = sys.argv[1]
    beside = TESTS.parent.parent / "shared" / "data"
    data = pathlib.Path(os.environ.get("CALDERA_DATA") or beside)
    archive = data / "cifar10" / "test.zip"
    if not archive.exists():
        print("no data: set CALDERA_DATA to its folder")
        sys.exit(1 if os.environ.get("CALDERA_REQUIRE_DRIVERS") == "1" else 77)
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        png = make_tree(archive, pathlib.Path(scratch) / "png")
        jpeg = make_tree(archive, pathlib.Path(scratch) / "jpeg", "--jpeg")
        for name, expected in PYTORCH.items():
            correct = count(caldera, data / "checkpoints" / name, png)
            if correct != expected:
                wrong.append(f"{name}: {correct} right, PyTorch gets {expected}")
            if name != ONE:
                continue
            halves = count(caldera, data / "checkpoints" / name, png, "fp16")
            if abs(halves - correct) > FP16_SLACK:
                wrong.append(f"{name}: {halves} right in fp16, {correct} in fp32")
            correct = count(caldera, data / "checkpoints" / name, jpeg)
            if abs(correct - expected) > DECODER_SLACK:
                wrong.append(f"{name} on JPEGs: {correct} right, PyTorch gets {expected}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
