// The only door to stb_image, which is compiled in stb.cpp with its symbols kept inside, so that a
// host program that brings its own copy does not clash with ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace caldera::stb {

struct Free {
  void operator()(uint8_t* pixels) const;
};

struct Pixels {
  std::unique_ptr<uint8_t, Free> rgb;  // 8 bits, interleaved; null on failure.
  int32_t width = 0;
  int32_t height = 0;
};

// No single allocation is larger than `limit` bytes.
Pixels decode(std::span<const uint8_t> bytes, size_t limit);

// Why the last decode() on this thread failed.
const char* failure();
// Whether the last decode() on this thread was refused an allocation.
bool out_of_memory();

}  // namespace caldera::stb
