// Where what training changes in place lies on the device: parameters, their gradients, optimizers'
// moments, running statistics. Each is stored in f32 as [O][KH][KW][I4 * 4] (WeightLayout::kOhwi,
// or kVector), from which kernels' own layouts are packed anew each step.
#pragma once

#include <cstdint>
#include <vector>

#include "caldera/graph.h"

namespace caldera {

// A state begins at a multiple of this, so that a piece of so many bytes belongs to one value.
constexpr uint64_t kStatePieceBytes = 4096;

struct StateLayout {
  std::vector<uint64_t> offsets;  // By value; kNoState for those that nothing updates.
  uint64_t bytes = 0;

  static constexpr uint64_t kNoState = UINT64_MAX;
  bool holds(ValueId value) const {
    const auto index = static_cast<uint32_t>(value);
    return index < offsets.size() && offsets[index] != kNoState;
  }
  uint64_t offset(ValueId value) const { return offsets[static_cast<uint32_t>(value)]; }
};

// Of one value, without what follows up to the next.
uint64_t state_bytes(const Shape& shape);

// Every value that a node updates. An optimizer's parameters lie one after the other in the order
// of its updates, and so do their gradients and each kind of moment, so that one dispatch walks
// them all side by side.
StateLayout lay_out_states(const Graph& graph);

}  // namespace caldera
