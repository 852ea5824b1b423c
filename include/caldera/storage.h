// How the elements of a value are stored on a device. Arithmetic, sums and statistics are of f32
// in any of them.
#pragma once

#include <cstdint>
#include <string_view>

namespace caldera {

enum class Storage : uint8_t {
  kF32,
  kF16,   // IEEE 754 binary16: 11 bits of precision, up to 65,504.
  kBf16,  // The upper half of an f32: 8 bits of precision, f32's range.
  kU16,   // Whole numbers, such as max-pool's places.
  kU8,    // Pixels.
};

// Bytes of one element.
constexpr uint64_t element_bytes(Storage storage) {
  return storage == Storage::kF32 ? 4 : storage == Storage::kU8 ? 1 : 2;
}

// "f32", "f16", "bf16", "u16", "u8"
std::string_view storage_name(Storage storage);

}  // namespace caldera
