// What the passes share.
#include "graph/passes/passes.h"

namespace caldera {

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const ValueId input : node.inputs) ++uses[static_cast<uint32_t>(input)];
  }
  for (const ValueId output : graph.outputs) ++uses[static_cast<uint32_t>(output)];
  return uses;
}

void remove_nodes(Graph& graph, const std::vector<bool>& removed) {
  std::vector<Node> kept;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!removed[i]) kept.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(kept);
  for (Value& value : graph.values) value.producer = NodeId::kNone;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId output : graph.nodes[i].outputs) {
      graph.value(output).producer = static_cast<NodeId>(i);
    }
  }
}

}  // namespace caldera
