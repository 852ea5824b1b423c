// Where something lies in memory that comes in blocks: a device limits what one allocation and one
// buffer hold, so weights, states and activations each take as many blocks as they need.
#pragma once

#include <compare>
#include <cstdint>

namespace caldera {

// Whatever has a place lies wholly in that block.
struct Place {
  uint32_t block = 0;
  uint64_t offset = 0;  // In the block.
  friend auto operator<=>(const Place&, const Place&) = default;
};

}  // namespace caldera
