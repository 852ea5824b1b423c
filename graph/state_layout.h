// Where what training changes in place lies on the device: parameters, their gradients, optimizers'
// moments, running statistics. Each is stored in f32 as [Os][KH][KW][I4 * 4] (WeightLayout::kOhwi,
// or kVector), from which kernels' own layouts are packed anew each step.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "caldera/graph.h"

#include "runtime/place.h"

namespace caldera {

// A state begins at a multiple of this, so that a piece of so many bytes belongs to one value.
constexpr uint64_t kStatePieceBytes = 4096;

struct StateLayout {
  std::vector<std::optional<Place>> places;  // By value; none for those that nothing updates.
  std::vector<uint64_t> blocks;              // Bytes of each.
  uint64_t bytes = 0;                        // All blocks together.

  bool holds(ValueId value) const {
    const auto index = static_cast<uint32_t>(value);
    return index < places.size() && places[index].has_value();
  }
  // Precondition: holds(value).
  Place place(ValueId value) const { return *places[static_cast<uint32_t>(value)]; }
};

// Of one value, without what follows up to the next.
uint64_t state_bytes(const Shape& shape);

// Every value that a node updates. An optimizer's parameters lie one after the other in the order
// of its updates, and so do their gradients and each kind of moment, so that one dispatch walks
// them all side by side, as far as their blocks reach.
StateLayout lay_out_states(const Graph& graph, uint64_t block_limit);

}  // namespace caldera
