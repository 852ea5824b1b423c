#!/usr/bin/env python3
"""What Pillow and torchvision make of images, for the C++ tests to compare with.

    make_reference.py transforms OUT        resizes, crops, ten crops of made-up images
    make_reference.py formats OUT           files of every format and kind, and their pixels
    make_reference.py photos OUT FOLDER     ImageNet's preprocessing of the photographs in FOLDER

OUT/cases.txt lists the cases, a line each; images are PPM files, floats raw little-endian.
"""
import glob
import io
import os
import struct
import sys
import zlib

import numpy
from PIL import Image

RANDOM = numpy.random.RandomState(1)


class Cases:
    def __init__(self, out):
        self.out = out
        self.lines = []

    def path(self, name):
        return os.path.join(self.out, name)

    def add(self, *fields):
        self.lines.append(" ".join(str(field) for field in fields))

    def save(self):
        with open(self.path("cases.txt"), "w") as file:
            file.write("\n".join(self.lines) + "\n")


def noise(width, height):
    return Image.fromarray(RANDOM.randint(0, 256, (height, width, 3), dtype=numpy.uint8))


def smooth(width, height):
    """Waves and an edge: closer to a photograph than noise is, and compressible."""
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [127 + 120 * numpy.sin(x / 9.0 + c) * numpy.cos(y / 7.0 - c) for c in range(3)]
    pixels = numpy.stack(planes, -1)
    pixels[height // 3:, : width // 2, 0] = 250
    return Image.fromarray(pixels.astype(numpy.uint8))


def transforms(cases):
    from torchvision import transforms as T

    def case(kind, image, result, *numbers):
        index = len(cases.lines)
        image.save(cases.path("%d.in.ppm" % index))
        result.save(cases.path("%d.out.ppm" % index))
        cases.add(kind, index, *numbers)

    sizes = [
        ((500, 375), (341, 256)), ((375, 500), (256, 341)), ((64, 48), (63, 47)),
        ((33, 57), (99, 113)), ((7, 5), (224, 224)), ((1, 1), (17, 9)), ((200, 1), (64, 3)),
        ((1, 200), (3, 64)), ((1000, 3), (5, 300)), ((3, 1000), (300, 5)), ((97, 89), (1, 1)),
        ((97, 89), (97, 40)), ((97, 89), (40, 89)), ((2000, 1500), (11, 13)), ((30, 20), (30, 20)),
        ((1, 4000), (1, 7)), ((4000, 1), (7, 1)), ((113, 127), (112, 128)), ((2, 2), (3, 5)),
    ]
    for size, new in sizes:
        for make in (noise, smooth):
            image = make(*size)
            case("resize", image, image.resize(new, Image.BILINEAR), *new)
    for width, height, side in [(500, 375, 256), (375, 500, 256), (333, 257, 256), (50, 41, 72),
                                (41, 50, 64), (64, 64, 32), (7, 300, 9), (256, 300, 256),
                                (1023, 769, 224)]:
        image = noise(width, height)
        case("shorter", image, T.Resize(side)(image), side)
    shapes = [(341, 256), (227, 229), (224, 225), (225, 226), (226, 224), (224, 224), (231, 233),
              (100, 300), (300, 101), (50, 51), (1, 1), (223, 223)]
    for width, height in shapes:
        image = noise(width, height)
        case("center", image, T.CenterCrop(224)(image), 224, 224)
        case("center", image, T.CenterCrop((100, 31))(image), 31, 100)
    image = noise(20, 10)
    for left, top, width, height in [(0, 0, 20, 10), (3, 4, 5, 6), (-3, -2, 9, 9), (15, 7, 9, 9),
                                     (-5, -5, 40, 40), (30, 3, 4, 4), (3, -30, 4, 4)]:
        box = (left, top, left + width, top + height)
        case("crop", image, image.crop(box), left, top, width, height)
    for width, height in [(20, 10), (1, 5), (7, 1)]:
        image = noise(width, height)
        case("flip", image, image.transpose(Image.FLIP_LEFT_RIGHT))
    for width, height, crop in [(341, 256, (224, 224)), (227, 231, (224, 224)), (40, 41, (31, 32)),
                                (30, 29, (29, 30))]:
        image = noise(width, height)
        crops = T.TenCrop(crop)(image)
        stack = Image.fromarray(numpy.concatenate([numpy.asarray(c) for c in crops]))
        case("ten", image, stack, crop[1], crop[0])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels, depth, color, interlaced):
    """A PNG of any kind, as Pillow does not write them all. pixels: [height, width, channels]."""
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                  (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for left, top, across, down in passes:
        part = pixels[top::down, left::across]
        if part.size == 0:
            continue
        for row in part:
            raw += b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes()
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) +
            chunk(b"IEND", b""))


def without_adobe(jpeg):
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + struct.unpack(">H", jpeg[at + 2:at + 4])[0]:]


def formats(cases):
    """Each case: the file, its pixels, the mean and the largest difference that is allowed."""

    def case(name, data, pixels=None, mean=0, most=0):
        with open(cases.path(name), "wb") as file:
            file.write(data)
        if pixels is None:
            pixels = Image.open(io.BytesIO(data)).convert("RGB")
        pixels.save(cases.path(name + ".ppm"))
        cases.add(name, mean, most)

    def encode(image, kind, **options):
        data = io.BytesIO()
        image.save(data, kind, **options)
        return data.getvalue()

    image = smooth(83, 61)
    rgba = image.convert("RGBA")
    rgba.putalpha(noise(83, 61).convert("L"))
    for mode in ("RGB", "L", "1", "P"):
        case("png-%s.png" % mode, encode(image.convert(mode), "PNG"))
        case("bmp-%s.bmp" % mode, encode(image.convert(mode), "BMP"))
    case("png-RGBA.png", encode(rgba, "PNG"))
    case("png-LA.png", encode(rgba.convert("LA"), "PNG"))
    case("png-transparent-P.png", encode(image.convert("P"), "PNG", transparency=3))
    case("bmp-RGBA.bmp", encode(rgba, "BMP"))
    for color, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
        for interlaced in (False, True):
            for depth in (8, 16):
                pixels = RANDOM.randint(0, 1 << depth, (13, 21, channels))
                # The upper byte; alpha is dropped.
                rgb = (pixels >> (depth - 8)).astype(numpy.uint8)[:, :, :3 if channels > 2 else 1]
                rgb = numpy.repeat(rgb, 3 // rgb.shape[2], 2)
                name = "png-%d-%d%s.png" % (color, depth, "-interlaced" if interlaced else "")
                case(name, png(pixels, depth, color, interlaced), Image.fromarray(rgb))

    # Decoders differ in rounding and in how they enlarge the colour planes.
    limits = {"mean": 0.8, "most": 12}
    for progressive in (False, True):
        suffix = "-progressive.jpg" if progressive else ".jpg"
        for sampling in (0, 1, 2):
            data = encode(image, "JPEG", quality=92, subsampling=sampling, progressive=progressive)
            case("jpeg-rgb-%d%s" % (sampling, suffix), data, **limits)
        case("jpeg-grey" + suffix, encode(image.convert("L"), "JPEG", progressive=progressive),
             **limits)
        cmyk = encode(image.convert("CMYK"), "JPEG", quality=92, progressive=progressive)
        case("jpeg-cmyk" + suffix, cmyk, **limits)
        case("jpeg-cmyk-plain" + suffix, without_adobe(cmyk), **limits)
    turned = Image.Exif()
    turned[0x0112] = 6
    case("jpeg-exif.jpg", encode(image, "JPEG", quality=92, exif=turned), **limits)
    # Bytes behind the end are not the image's.
    case("jpeg-trailing.jpg", encode(image, "JPEG", quality=92) + b"more", **limits)


def photos(cases, folder):
    from torchvision import transforms as T
    shape = T.Compose([T.Resize(256), T.CenterCrop(224)])
    normal = T.Compose([T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    for index, path in enumerate(sorted(glob.glob(os.path.join(folder, "*.JPEG")))):
        image = Image.open(path).convert("RGB")
        image.save(cases.path("%d.in.ppm" % index))
        fitted = shape(image)
        fitted.save(cases.path("%d.out.ppm" % index))
        normal(fitted).numpy().astype("<f4").tofile(cases.path("%d.f32" % index))
        cases.add(index, os.path.basename(path))


def main():
    kind, out = sys.argv[1:3]
    cases = Cases(out)
    {"transforms": transforms, "formats": formats, "photos": photos}[kind](cases, *sys.argv[3:])
    cases.save()


if __name__ == "__main__":
    main()
