// Gathered from the dispatches' bindings and the lifetimes that the arena was planned with.
#include "graph/layer_memory.h"

#include <algorithm>
#include <set>
#include <span>

namespace caldera {

namespace {

// Bytes alive at each dispatch.
std::vector<uint64_t> bytes_alive(std::span<const Lifetime> lifetimes, size_t steps) {
  std::vector<uint64_t> alive(steps, 0);
  for (const Lifetime& lifetime : lifetimes) {
    for (int64_t step = lifetime.first; step <= lifetime.last; ++step) {
      if (step < static_cast<int64_t>(steps)) alive[static_cast<size_t>(step)] += lifetime.bytes;
    }
  }
  return alive;
}

}  // namespace

std::vector<LayerMemory> layer_memory(const Plan& plan) {
  const std::span<const Lifetime> lifetimes = plan.memory.lifetimes;
  const size_t steps = plan.dispatches.size();
  const std::vector<uint64_t> alive = bytes_alive(lifetimes, steps);
  const std::vector<uint64_t> workspaces =
      bytes_alive(lifetimes.subspan(plan.graph.values.size()), steps);

  std::vector<LayerMemory> layers(plan.graph.nodes.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i].node = static_cast<NodeId>(i);
    for (const ValueId output : plan.graph.nodes[i].outputs) {
      const auto index = static_cast<uint32_t>(output);
      if (plan.owners[index] == output) layers[i].output_bytes += lifetimes[index].bytes;
    }
    const ValueId output = plan.graph.nodes[i].output();
    if (output != ValueId::kNone) layers[i].output_block = plan.arena_place(output).block;
  }
  std::set<std::pair<NodeId, uint32_t>> weights;  // Counted once a layer.
  for (size_t step = 0; step < steps; ++step) {
    const Dispatch& dispatch = plan.dispatches[step];
    if (dispatch.node == NodeId::kNone) continue;
    LayerMemory& layer = layers[static_cast<uint32_t>(dispatch.node)];
    layer.alive_bytes = std::max(layer.alive_bytes, alive[step]);
    layer.workspace_bytes = std::max(layer.workspace_bytes, workspaces[step]);
    for (const Binding& binding : dispatch.bindings) {
      if (binding.kind != BindingKind::kWeight) continue;
      if (!weights.emplace(dispatch.node, binding.index).second) continue;
      layer.weights_bytes += plan.weights[binding.index].bytes;
    }
  }
  return layers;
}

}  // namespace caldera
