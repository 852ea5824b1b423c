// The walk of a graph in its order, keeping what has been made so far.
#include "graph/validate.h"

#include <algorithm>

#include <fmt/format.h>

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
    const auto output = static_cast<uint32_t>(node.output);
    if (output >= ready.size() || ready[output] ||
        graph.values[output].role != ValueRole::kActivation) {
      return invalid(node.name + " does not make a new activation");
    }
    const Result<Shape> shape = infer_shape(node.attrs, shapes);
    if (!shape.ok()) return invalid(node.name + ": " + shape.error().message);
    if (*shape != graph.values[output].shape) {
      return invalid(fmt::format("{} makes {}, not {}", node.name, to_string(*shape),
                                 to_string(graph.values[output].shape)));
    }
    ready[output] = true;
  }
  for (const ValueId output : graph.outputs) {
    if (!is_ready(output) || is_weight(graph.value(output))) {
      return invalid("an output is not an activation that a node makes");
    }
  }
  return check_weights(graph, weights);
}

}  // namespace caldera
