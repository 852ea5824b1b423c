// Event files; see event_file.h.
#include "tools/event_file.h"

#include <bit>
#include <chrono>

#include <fmt/format.h>

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kStart = "events.out.tfevents.";
constexpr std::string_view kEnd = ".caldera";

// CRC-32C (Castagnoli), RFC 3720 appendix B.4, bit by bit.
uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

// As records store it, since a checksum of data that holds checksums is a weak one.
uint32_t masked(uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <typename T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> 8 * i & 0xff);
  return bytes;
}

// --- The wire format of protocol buffers ---

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}

enum class Wire : uint8_t { kVarint = 0, k64Bits = 1, kLength = 2, k32Bits = 5 };

std::string key(int field, Wire wire) {
  return varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}

std::string text_field(int field, std::string_view text) {
  return key(field, Wire::kLength) + varint(text.size()) + std::string(text);
}

std::string double_field(int field, double value) {
  return key(field, Wire::k64Bits) + little_endian(std::bit_cast<uint64_t>(value));
}

std::string float_field(int field, float value) {
  return key(field, Wire::k32Bits) + little_endian(std::bit_cast<uint32_t>(value));
}

std::string wall_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return double_field(1, std::chrono::duration<double>(now).count());
}

}  // namespace

Status EventFile::create(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    std::error_code ignored;
    if (name.starts_with(kStart) && name.ends_with(kEnd)) fs::remove(it->path(), ignored);
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  path_ = folder / fmt::format("{}{:010}{}", kStart,
                               std::chrono::duration_cast<std::chrono::seconds>(now).count(), kEnd);
  file_.open(path_, std::ios::binary | std::ios::trunc);
  record(wall_time() + text_field(3, "brain.Event:2"));
  return flush();
}

void EventFile::add(int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    summary +=
        text_field(1, text_field(1, scalar.tag) + float_field(2, static_cast<float>(scalar.value)));
  }
  record(wall_time() + key(2, Wire::kVarint) + varint(static_cast<uint64_t>(step)) +
         text_field(5, summary));
}

void EventFile::record(const std::string& event) {
  const std::string length = little_endian(uint64_t{event.size()});
  pending_ +=
      length + little_endian(masked(crc32c(length))) + event + little_endian(masked(crc32c(event)));
}

Status EventFile::flush() {
  file_ << pending_ << std::flush;
  pending_.clear();
  if (file_) return {};
  return Error{ErrorCode::kIo,
               fmt::format("{}: cannot be written; is the disk full?", path_.string())};
}

}  // namespace caldera::tool
