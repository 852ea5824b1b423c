// FNV-1a of 64 bits (Fowler, Noll, Vo): tells damaged or other bytes apart, where nobody forges
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace caldera {

// `from`: what the bytes before gave.
constexpr uint64_t fnv1a(std::span<const std::byte> bytes, uint64_t from = 0xcbf29ce484222325u) {
  for (const std::byte byte : bytes) from = (from ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
  return from;
}

}  // namespace caldera
