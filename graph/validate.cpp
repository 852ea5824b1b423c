// The walk of a graph in its order, keeping what has been made so far.
#include "graph/validate.h"

#include <algorithm>

#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

namespace {

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, "the graph is not sound: " + std::move(message)};
}

bool is_weight(const Value& value) {
  return value.role == ValueRole::kParameter || value.role == ValueRole::kState ||
         value.role == ValueRole::kConstant;
}

Status check_weights(const Graph& graph, const Weights& weights) {
  std::string problems;
  for (const Value& value : graph.values) {
    if (!is_weight(value)) continue;
    const auto found = weights.find(value.name);
    if (found == weights.end()) {
      if (value.starts_at_zero) continue;
      problems += fmt::format("; {} is missing", value.name);
    } else if (found->second.shape() != value.shape || found->second.dtype() != DType::kF32) {
      problems += fmt::format("; {} is {} {} where f32 {} is needed", value.name,
                              dtype_name(found->second.dtype()), to_string(found->second.shape()),
                              to_string(value.shape));
    }
  }
  if (problems.empty()) return {};
  return Error{ErrorCode::kInvalidInput, "weights do not fit the graph: " + problems.substr(2)};
}

// A convolution's or linear layer's weight lies in memory as only weights do, and what transposes
// them.
Status check_kernel_weight(const Graph& graph, const Node& node) {
  if (node.kind() == OpKind::kTransposeWeight) {
    if (graph.value(node.inputs[0]).role == ValueRole::kParameter) return {};
    return invalid(node.name + " transposes what is not a parameter");
  }
  if (node.kind() != OpKind::kConv2d && node.kind() != OpKind::kLinear) return {};
  const Value& weight = graph.value(node.inputs[1]);
  if (is_weight(weight)) return {};
  const auto producer = static_cast<uint32_t>(weight.producer);
  if (producer < graph.nodes.size() && graph.nodes[producer].output() == node.inputs[1] &&
      graph.nodes[producer].kind() == OpKind::kTransposeWeight) {
    return {};
  }
  return invalid(node.name + " has a weight that is neither a parameter nor one transposed");
}

// Plans choose among floats; whole numbers are for what an operator makes as such.
Status check_storage(const Value& value, std::optional<Storage> fixed) {
  const bool floats = !value.storage || *value.storage == Storage::kF32 ||
                      *value.storage == Storage::kF16 || *value.storage == Storage::kBf16;
  if (fixed ? value.storage == fixed : floats) return {};
  return invalid(fmt::format("{} is stored as {}, but can only be {}", value.name,
                             value.storage ? storage_name(*value.storage) : "the plan likes",
                             fixed ? storage_name(*fixed) : "floats"));
}

Status check_node_updates(const Graph& graph, const Node& node, const std::vector<Shape>& inputs) {
  std::vector<Shape> shapes;
  std::vector<ValueId> seen;
  for (const ValueId id : node.updates) {
    const auto index = static_cast<uint32_t>(id);
    if (index >= graph.values.size() || (graph.values[index].role != ValueRole::kParameter &&
                                         graph.values[index].role != ValueRole::kState)) {
      return invalid(node.name + " updates what is neither a parameter nor a state");
    }
    shapes.push_back(graph.values[index].shape);
    seen.push_back(id);
  }
  std::ranges::sort(seen);
  const auto twice = std::ranges::adjacent_find(seen);
  if (twice != seen.end()) {
    return invalid(fmt::format("{} updates {} twice", node.name, graph.value(*twice).name));
  }
  const Status status = check_updates(node.attrs, inputs, shapes);
  if (!status.ok()) return invalid(node.name + ": " + status.error().message);
  return {};
}

}  // namespace

Status validate(const Graph& graph, const Weights& weights) {
  std::vector<bool> ready(graph.values.size());
  const auto is_ready = [&](ValueId id) {
    const auto index = static_cast<uint32_t>(id);
    return index < ready.size() && ready[index];
  };
  for (size_t i = 0; i < graph.values.size(); ++i) ready[i] = is_weight(graph.values[i]);
  for (const ValueId input : graph.inputs) {
    const auto index = static_cast<uint32_t>(input);
    if (index >= ready.size() || graph.values[index].role != ValueRole::kInput) {
      return invalid("an input is not a value of that role");
    }
    CALDERA_TRY(check_storage(graph.values[index], std::nullopt));
    const Shape& shape = graph.values[index].shape;
    if ((shape.size() != 4 && shape.size() != 2) || *std::ranges::min_element(shape) < 1) {
      return invalid(fmt::format("the input '{}' is {}, neither [N, C, H, W] nor [N, F]",
                                 graph.values[index].name, to_string(shape)));
    }
    ready[index] = true;
  }
  if (graph.inputs.empty() || graph.outputs.empty()) return invalid("it lacks inputs or outputs");

  for (const Node& node : graph.nodes) {
    std::vector<Shape> shapes;
    for (const ValueId input : node.inputs) {
      if (!is_ready(input)) return invalid(node.name + " reads a value that is not made before it");
      shapes.push_back(graph.value(input).shape);
    }
    const Result<std::vector<Shape>> made = infer_shapes(node.attrs, shapes);
    if (!made.ok()) return invalid(node.name + ": " + made.error().message);
    CALDERA_TRY(check_kernel_weight(graph, node));
    CALDERA_TRY(check_node_updates(graph, node, shapes));
    if (made->size() != node.outputs.size()) {
      return invalid(fmt::format("{} has {} outputs, but its operator makes {}", node.name,
                                 node.outputs.size(), made->size()));
    }
    for (size_t i = 0; i < made->size(); ++i) {
      const auto output = static_cast<uint32_t>(node.outputs[i]);
      if (output >= ready.size() || ready[output] ||
          graph.values[output].role != ValueRole::kActivation) {
        return invalid(node.name + " does not make a new activation");
      }
      if ((*made)[i] != graph.values[output].shape) {
        return invalid(fmt::format("{} makes {}, not {}", node.name, to_string((*made)[i]),
                                   to_string(graph.values[output].shape)));
      }
      CALDERA_TRY(check_storage(graph.values[output], fixed_storage(node.kind(), i)));
      ready[output] = true;
    }
  }
  for (const ValueId output : graph.outputs) {
    if (!is_ready(output) || is_weight(graph.value(output))) {
      return invalid("an output is not an activation that a node makes");
    }
  }
  return check_weights(graph, weights);
}

}  // namespace caldera
