// Optimizers' lists first, in their order; then whatever else is updated.
#include "graph/state_layout.h"

#include "graph/align.h"
#include "graph/emitter.h"
#include "graph/memory_planner.h"

namespace caldera {

uint64_t state_bytes(const Shape& shape) {
  return packed_bytes(shape, shape.size() > 1 ? WeightLayout::kOhwi : WeightLayout::kVector,
                      Storage::kF32);
}

StateLayout lay_out_states(const Graph& graph, uint64_t block_limit) {
  StateLayout layout;
  layout.places.resize(graph.values.size());
  EndToEnd row(block_limit);
  const auto place = [&](ValueId value) {
    if (layout.holds(value)) return;
    layout.places[static_cast<uint32_t>(value)] =
        row.add(round_up(state_bytes(graph.value(value).shape), kStatePieceBytes));
  };
  for (const Node& node : graph.nodes) {
    if (node.kind() != OpKind::kOptimizer) continue;
    for (const ValueId value : node.updates) place(value);
  }
  for (const Node& node : graph.nodes) {
    for (const ValueId value : node.updates) place(value);
  }
  layout.blocks = row.blocks();
  layout.bytes = row.bytes();
  return layout;
}

}  // namespace caldera
