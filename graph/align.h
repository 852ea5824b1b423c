// Dividing and rounding up: counts of tiles, sizes, offsets.
#pragma once

#include <cstdint>

namespace caldera {

// Parts of size `part` that cover `whole`.
constexpr uint64_t ceil_div(uint64_t whole, uint64_t part) {
  return (whole + part - 1) / part;
}

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}

}  // namespace caldera
