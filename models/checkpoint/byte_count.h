// The bytes that a shape out of an untrusted file takes, before anything is made of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

namespace caldera {

// Empty where an extent is negative, or where the product, or one of some of the extents alone
// (as an empty tensor's), passes 2^56: no file holds that, and later sums cannot overflow.
inline std::optional<uint64_t> byte_count(std::span<const int64_t> shape, size_t element) {
  uint64_t nonzero = element;
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) empty = true;
    if (__builtin_mul_overflow(nonzero, std::max<uint64_t>(static_cast<uint64_t>(extent), 1),
                               &nonzero) ||
        nonzero > uint64_t{1} << 56) {
      return std::nullopt;
    }
  }
  return empty ? 0 : nonzero;
}

}  // namespace caldera
