// Bytes one after another, bounded by their source.
#include "models/checkpoint/byte_reader.h"

#include <algorithm>
#include <cstring>

namespace caldera {

ByteReader::ByteReader(std::span<const std::byte> bytes) : end_(bytes.size()), window_(bytes) {}

ByteReader::ByteReader(InputFile& file, uint64_t offset)
    : file_(&file), offset_(std::min(offset, file.size())), end_(file.size()) {}

bool ByteReader::fill() {
  if (!window_.empty()) return true;
  if (file_ == nullptr || remaining() == 0) return false;
  const std::span<std::byte> part(buffer_.data(), std::min<uint64_t>(buffer_.size(), remaining()));
  if (!file_->read(offset_, part)) return false;
  window_ = part;
  return true;
}

bool ByteReader::read(std::span<std::byte> bytes) {
  if (bytes.size() > remaining()) return false;
  while (!bytes.empty()) {
    if (!fill()) return false;
    const size_t part = std::min(bytes.size(), window_.size());
    std::memcpy(bytes.data(), window_.data(), part);
    bytes = bytes.subspan(part);
    window_ = window_.subspan(part);
    offset_ += part;
  }
  return true;
}

bool ByteReader::read_byte(uint8_t& value) {
  if (!fill()) return false;
  value = static_cast<uint8_t>(window_.front());
  window_ = window_.subspan(1);
  ++offset_;
  return true;
}

bool ByteReader::read_uint(size_t width, uint64_t& value) {
  std::array<std::byte, 8> bytes;
  if (!read(std::span(bytes).first(width))) return false;
  value = 0;
  for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint64_t>(bytes[i]);
  return true;
}

bool ByteReader::read_string(uint64_t length, std::string& text) {
  if (length > remaining()) return false;
  text.resize(static_cast<size_t>(length));
  return read(std::as_writable_bytes(std::span(text)));
}

bool ByteReader::read_line(size_t limit, std::string& text) {
  text.clear();
  for (uint8_t byte = 0; read_byte(byte);) {
    if (byte == '\n') return true;
    if (text.size() == limit) return false;
    text += static_cast<char>(byte);
  }
  return false;
}

}  // namespace caldera
