// Questions that a graph answers about itself.
#include "caldera/graph.h"

namespace caldera {

ValueId Graph::find(std::string_view name) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == name) return static_cast<ValueId>(i);
  }
  return ValueId::kNone;
}

int64_t multiply_adds(const Graph& graph, const Node& node) {
  const auto output = element_count(graph.value(node.output).shape);
  switch (node.kind()) {
    case OpKind::kConv2d: {
      const Shape& weight = graph.value(node.inputs[1]).shape;
      return output * weight[1] * weight[2] * weight[3];
    }
    case OpKind::kLinear:
      return output * graph.value(node.inputs[1]).shape[1];
    default:
      return 0;
  }
}

int64_t multiply_adds(const Graph& graph) {
  int64_t sum = 0;
  for (const Node& node : graph.nodes) sum += multiply_adds(graph, node);
  return sum;
}

int64_t parameter_count(const Graph& graph) {
  int64_t count = 0;
  for (const Value& value : graph.values) {
    if (value.role == ValueRole::kParameter) count += element_count(value.shape);
  }
  return count;
}

}  // namespace caldera
