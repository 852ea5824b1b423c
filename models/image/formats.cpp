// Walks through JPEG segments (ITU-T T.81, annex B), PNG chunks (ISO/IEC 15948, clause 5) and BMP
// headers. Every length is checked against what is left of the file before it is used.
#include "models/image/formats.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace caldera::image_format {
namespace {

using Bytes = std::span<const uint8_t>;

bool starts_with(Bytes bytes, std::string_view prefix, size_t at = 0) {
  return bytes.size() >= at + prefix.size() &&
         std::memcmp(bytes.data() + at, prefix.data(), prefix.size()) == 0;
}

uint32_t big16(Bytes b, size_t at) {
  return uint32_t{b[at]} << 8 | b[at + 1];
}
uint32_t big32(Bytes b, size_t at) {
  return big16(b, at) << 16 | big16(b, at + 2);
}
uint32_t little16(Bytes b, size_t at) {
  return uint32_t{b[at + 1]} << 8 | b[at];
}
uint32_t little32(Bytes b, size_t at) {
  return little16(b, at + 2) << 16 | little16(b, at);
}

constexpr uint32_t kMarkerDht = 0xc4;
constexpr uint32_t kMarkerEoi = 0xd9;
constexpr uint32_t kMarkerSos = 0xda;
constexpr uint32_t kMarkerApp14 = 0xee;
// Each scan of a progressive JPEG goes over the whole image, however few bytes it has: real files
// have about ten.
constexpr int kMaxScans = 500;

bool is_frame_header(uint32_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != kMarkerDht && marker != 0xc8 &&
         marker != 0xcc;
}

bool is_restart(uint32_t marker) {
  return marker >= 0xd0 && marker <= 0xd7;
}

// Moves `at` behind the next marker and returns that; 0 at the end of the file. In a scan's data,
// stuffed zeros and restart markers are passed over.
uint32_t next_marker(Bytes bytes, size_t& at, bool in_scan) {
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, 0xff, bytes.size() - at);
    if (!found) break;
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data());
    while (at < bytes.size() && bytes[at] == 0xff) ++at;
    if (at == bytes.size()) break;
    const uint32_t marker = bytes[at++];
    if (marker != 0 && !(in_scan && is_restart(marker))) return marker;
  }
  at = bytes.size();
  return 0;
}

// DHT: tables of [class and slot][16 counts][a value for each].
bool huffman_tables_are_legal(Bytes body) {
  constexpr size_t kHead = 17;
  while (!body.empty()) {
    if (body.size() < kHead) return false;
    size_t values = 0;
    for (size_t i = 1; i < kHead; ++i) values += body[i];
    if (values > 256 || body.size() < kHead + values) return false;
    body = body.subspan(kHead + values);
  }
  return true;
}

Check check_jpeg(Bytes bytes) {
  const std::string truncated = "the file is truncated";
  Check out;
  bool adobe = false;
  uint32_t components = 0;
  int scans = 0;
  size_t at = 2;
  bool in_scan = false;
  for (;;) {
    const uint32_t marker = next_marker(bytes, at, in_scan);
    in_scan = false;
    if (marker == 0) return {truncated};
    if (marker == kMarkerEoi) {
      if (components == 0 || scans == 0) return {"it holds no image data"};
      if (out.width == 0 || out.height == 0) return {"its size is not positive"};
      out.plain_cmyk = components == 4 && !adobe;
      return out;
    }
    if (is_restart(marker) || marker == 0x01 || marker == 0xd8) return {"a marker is out of place"};
    if (bytes.size() - at < 2) return {truncated};
    const size_t length = big16(bytes, at);
    if (length < 2) return {"a segment is too short"};
    if (bytes.size() - at < length) return {truncated};
    const Bytes body = bytes.subspan(at + 2, length - 2);
    at += length;
    if (marker == kMarkerDht && !huffman_tables_are_legal(body)) return {"a Huffman table is bad"};
    if (marker == kMarkerApp14 && starts_with(body, "Adobe")) adobe = true;
    if (is_frame_header(marker) && components == 0) {
      if (body.size() < 6) return {"the frame header is too short"};
      // [precision][height, 2][width, 2][components]
      out.height = big16(body, 1);
      out.width = big16(body, 3);
      components = body[5];
    }
    if (marker == kMarkerSos) {
      if (++scans > kMaxScans) return {"it has more than 500 scans"};
      in_scan = true;
    }
  }
}

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}();

uint32_t crc32(Bytes bytes) {
  uint32_t c = 0xffffffffu;
  for (const uint8_t byte : bytes) c = kCrcTable[(c ^ byte) & 0xff] ^ (c >> 8);
  return ~c;
}

Check check_png(Bytes bytes) {
  // A chunk: [length][type][data][CRC of type and data]. The first is IHDR, of 13 bytes.
  constexpr size_t kSignature = 8;
  constexpr size_t kAround = 12;
  Check out;
  size_t at = kSignature;
  for (;;) {
    const size_t left = bytes.size() - at;
    if (left < kAround) return {"the file is truncated"};
    const size_t length = big32(bytes, at);
    if (length > left - kAround) return {"the file is truncated"};
    const Bytes type_and_data = bytes.subspan(at + 4, length + 4);
    const bool critical = (type_and_data[0] & 0x20) == 0;
    if (critical && crc32(type_and_data) != big32(bytes, at + 8 + length)) {
      return {"a chunk's checksum is wrong"};
    }
    if (out.width == 0 && starts_with(type_and_data, "IHDR") && length >= 8) {
      out.width = big32(type_and_data, 4);
      out.height = big32(type_and_data, 8);
    }
    if (starts_with(type_and_data, "IEND")) break;
    at += kAround + length;
  }
  if (out.width == 0 || out.height == 0) return {"its size is not positive"};
  return out;
}

Check check_bmp(Bytes bytes) {
  constexpr size_t kOffsetAt = 10;
  constexpr size_t kHeaderAt = 14;
  if (bytes.size() < kHeaderAt + 12) return {"the file is truncated"};
  const bool old = little32(bytes, kHeaderAt) == 12;  // OS/2 1.x: 16-bit sizes.
  if (!old && bytes.size() < kHeaderAt + 16) return {"the file is truncated"};
  const auto dimension = [&](size_t index) -> int64_t {
    if (old) return little16(bytes, kHeaderAt + 4 + 2 * index);
    return static_cast<int32_t>(little32(bytes, kHeaderAt + 4 + 4 * index));
  };
  Check out;
  out.width = dimension(0);
  out.height = std::max(dimension(1), -dimension(1));  // Negative: from the top.
  const int64_t bits = little16(bytes, kHeaderAt + (old ? 10 : 14));
  if (out.width <= 0 || out.height == 0) return {"its size is not positive"};
  if (bits == 0 || bits > 32) return {"its depth is not known"};
  const int64_t row = (out.width * bits + 7) / 8;
  const int64_t stride = (row + 3) / 4 * 4;
  // By division, as a product of such numbers overflows. The last row's padding may be missing.
  const int64_t left = static_cast<int64_t>(bytes.size()) - little32(bytes, kOffsetAt);
  if (left < row || (left - row) / stride < out.height - 1) return {"the file is truncated"};
  return out;
}

}  // namespace

Format detect(Bytes bytes) {
  if (starts_with(bytes, "\xff\xd8\xff")) return Format::kJpeg;
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) return Format::kPng;
  if (starts_with(bytes, "BM")) return Format::kBmp;
  return Format::kUnknown;
}

std::string describe(Bytes bytes) {
  switch (detect(bytes)) {
    case Format::kJpeg:
      return "JPEG";
    case Format::kPng:
      return "PNG";
    case Format::kBmp:
      return "BMP";
    case Format::kUnknown:
      break;
  }
  if (bytes.empty()) return "an empty file";
  if (starts_with(bytes, "GIF8")) return "a GIF image";
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return "a WebP image";
  if (starts_with(bytes, "II*") || starts_with(bytes, "MM")) return "a TIFF image";
  if (starts_with(bytes, "ftyp", 4)) return "a HEIF or AVIF image";
  return "not an image that is known";
}

Check check(Bytes bytes, Format format) {
  switch (format) {
    case Format::kJpeg:
      return check_jpeg(bytes);
    case Format::kPng:
      return check_png(bytes);
    case Format::kBmp:
      return check_bmp(bytes);
    case Format::kUnknown:
      break;
  }
  return {"its format is not known"};
}

int64_t max_pixels_per_byte(Format format) {
  switch (format) {
    case Format::kJpeg:
      // A bit a block of 64 pixels, with the strangest sampling factors two blocks to a bit.
      return 1024;
    case Format::kPng:
      return 8 * 1032;  // A bit a pixel, deflated by at most 1032 to 1.
    case Format::kBmp:
      return 8;
    case Format::kUnknown:
      break;
  }
  return 0;
}

}  // namespace caldera::image_format
