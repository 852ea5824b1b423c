// Questions that a graph answers about itself.
#include "caldera/graph.h"

namespace caldera {

ValueId Graph::find(std::string_view name) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == name) return static_cast<ValueId>(i);
  }
  return ValueId::kNone;
}

namespace {

// Shapes that no device could run may be asked about too.
int64_t saturating_multiply(int64_t a, int64_t b) {
  return b > 0 && a > INT64_MAX / b ? INT64_MAX : a * b;
}

}  // namespace

int64_t multiply_adds(const Graph& graph, const Node& node) {
  if (node.kind() == OpKind::kConv2dWeightGradient) {
    const Shape& weight = graph.value(node.updates[0]).shape;
    const Shape& dy = graph.value(node.inputs[1]).shape;
    return saturating_multiply(element_count(dy), element_count(weight) / weight[0]);
  }
  if (node.output() == ValueId::kNone) return 0;
  const int64_t output = element_count(graph.value(node.output()).shape);
  switch (node.kind()) {
    case OpKind::kConv2d: {
      const Shape& weight = graph.value(node.inputs[1]).shape;
      return saturating_multiply(output, element_count(weight) / weight[0]);
    }
    case OpKind::kLinear:
      return saturating_multiply(output, graph.value(node.inputs[1]).shape[1]);
    default:
      return 0;
  }
}

int64_t multiply_adds(const Graph& graph) {
  int64_t sum = 0;
  for (const Node& node : graph.nodes) {
    const int64_t work = multiply_adds(graph, node);
    sum = work > INT64_MAX - sum ? INT64_MAX : sum + work;
  }
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
