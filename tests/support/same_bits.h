// Whether two results are the same to the bit: a NaN equals its own like, and 0 is not -0.
#pragma once

#include <cstring>
#include <span>

namespace caldera::test {

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace caldera::test
