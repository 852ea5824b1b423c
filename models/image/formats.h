// What is checked of an image file before a decoder sees it. stb_image accepts much: it takes
// truncated BMP files, skips PNG's checksums, and its older versions (Debian 12's) write past
// their tables on a bad Huffman segment. Walking the file's own structure first closes that.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace caldera::image_format {

enum class Format { kUnknown, kJpeg, kPng, kBmp };

// By the first bytes.
Format detect(std::span<const uint8_t> bytes);
// A name for messages; for kUnknown, what else the bytes may be ("a WebP image", "not an image").
std::string describe(std::span<const uint8_t> bytes);

struct Check {
  std::string problem;  // Empty: the file is whole.
  int64_t width = 0;    // As the header claims, above 0.
  int64_t height = 0;
  // A JPEG of four components that does not say how they are meant (no Adobe segment).
  bool plain_cmyk = false;
};

// JPEG: segments within bounds, Huffman tables of a legal size, ended by its end marker.
// PNG: every critical chunk's checksum, ended by IEND. BMP: as many rows as the header promises.
Check check(std::span<const uint8_t> bytes, Format format);

// The most pixels that one byte of a well-formed file can stand for: an image that claims more
// is refused before memory is taken for it.
int64_t max_pixels_per_byte(Format format);

}  // namespace caldera::image_format
