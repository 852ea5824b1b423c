// Optimizers' lists first, in their order; then whatever else is updated.
#include "graph/state_layout.h"

#include "graph/align.h"
#include "graph/emitter.h"

namespace caldera {

uint64_t state_bytes(const Shape& shape) {
  return packed_bytes(shape, shape.size() > 1 ? WeightLayout::kOhwi : WeightLayout::kVector,
                      Storage::kF32);
}

StateLayout lay_out_states(const Graph& graph) {
  StateLayout layout;
  layout.offsets.assign(graph.values.size(), StateLayout::kNoState);
  const auto place = [&](ValueId value) {
    uint64_t& offset = layout.offsets[static_cast<uint32_t>(value)];
    if (offset != StateLayout::kNoState) return;
    offset = layout.bytes;
    layout.bytes += round_up(state_bytes(graph.value(value).shape), kStatePieceBytes);
  };
  for (const Node& node : graph.nodes) {
    if (node.kind() != OpKind::kOptimizer) continue;
    for (const ValueId value : node.updates) place(value);
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId value : node.updates) place(value);
  }
  return layout;
}

}  // namespace caldera
