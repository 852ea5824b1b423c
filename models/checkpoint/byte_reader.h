// Reads bytes one after another, from memory or from a file through a small buffer, and never past
// the end. The pickle machine reads a zip's record and a legacy file's head through it alike.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "models/checkpoint/input_file.h"

namespace caldera {

class ByteReader {
 public:
  // Both borrow; the source must outlive the reader.
  explicit ByteReader(std::span<const std::byte> bytes);
  ByteReader(InputFile& file, uint64_t offset);
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  // Where the next byte stands in the source, and how many are left.
  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return end_ - offset_; }

  // Each returns false, and reads nothing, where the source has not that much left.
  bool read(std::span<std::byte> bytes);
  bool read_byte(uint8_t& value);
  // A little-endian integer of `width` bytes, at most 8.
  bool read_uint(size_t width, uint64_t& value);
  bool read_string(uint64_t length, std::string& text);
  // Up to and without the next '\n'; false also where it is longer than `limit`.
  bool read_line(size_t limit, std::string& text);

 private:
  bool fill();

  InputFile* file_ = nullptr;
  uint64_t offset_ = 0;
  uint64_t end_ = 0;
  std::span<const std::byte> window_;  // What is in memory from offset_ on.
  std::array<std::byte, 4096> buffer_;
};

}  // namespace caldera
