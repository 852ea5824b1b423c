// Appending nodes and values; and gradients that several readers of a value add up.
#include <fmt/format.h>

#include "graph/autodiff/autodiff.h"

namespace caldera {

ValueId GraphAppender::append_value(Value value) {
  graph_.values.push_back(std::move(value));
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId GraphAppender::input(std::string name, Shape shape) {
  const ValueId id = append_value({std::move(name), ValueRole::kInput, std::move(shape)});
  graph_.inputs.push_back(id);
  return id;
}

ValueId GraphAppender::zero_state(std::string name, Shape shape) {
  Value value{std::move(name), ValueRole::kState, std::move(shape)};
  value.starts_at_zero = true;
  return append_value(std::move(value));
}

Result<std::vector<Shape>> GraphAppender::infer(const std::string& name, const Attrs& attrs,
                                                const std::vector<ValueId>& inputs) {
  std::vector<Shape> shapes;
  for (const ValueId input : inputs) shapes.push_back(shape(input));
  Result<std::vector<Shape>> inferred = infer_shapes(attrs, shapes);
  if (!inferred.ok() && status_.ok()) {
    status_ = Error{inferred.error().code, fmt::format("{}: {}", name, inferred.error().message)};
  }
  return inferred;
}

ValueId GraphAppender::node(std::string name, Attrs attrs, std::vector<ValueId> inputs,
                            std::vector<ValueId> updates) {
  if (!status_.ok()) return ValueId::kNone;
  Result<std::vector<Shape>> made = infer(name, attrs, inputs);
  if (!made.ok()) return ValueId::kNone;
  std::vector<ValueId> outputs;
  for (Shape& shape : *made) {
    outputs.push_back(append_value({name, ValueRole::kActivation, std::move(shape), false,
                                    static_cast<NodeId>(graph_.nodes.size())}));
  }
  graph_.nodes.push_back({std::move(name), std::move(attrs), std::move(inputs), std::move(outputs),
                          std::move(updates)});
  return graph_.nodes.back().output();
}

ValueId GraphAppender::another_output(ValueId output, Attrs attrs) {
  const NodeId producer = graph_.value(output).producer;
  const Node& node = graph_.node(producer);
  Result<std::vector<Shape>> made = infer(node.name, attrs, node.inputs);
  if (!made.ok()) return ValueId::kNone;
  if (made->size() > node.outputs.size()) {
    Value value{node.name, ValueRole::kActivation, std::move(made->back()), false, producer};
    value.storage = fixed_storage(node.kind(), node.outputs.size());
    const ValueId id = append_value(std::move(value));
    graph_.node(producer).outputs.push_back(id);
    graph_.node(producer).attrs = std::move(attrs);
  }
  return graph_.node(producer).outputs.back();
}

void GraphAppender::update(std::string name, Attrs attrs, std::vector<ValueId> inputs,
                           std::vector<ValueId> updates) {
  if (!status_.ok() || !infer(name, attrs, inputs).ok()) return;
  graph_.nodes.push_back(
      {std::move(name), std::move(attrs), std::move(inputs), {}, std::move(updates)});
}

void GraphAppender::replace(std::string name, Attrs attrs, std::vector<ValueId> inputs,
                            ValueId output) {
  if (!status_.ok() || !infer(name, attrs, inputs).ok()) return;
  graph_.value(output).producer = static_cast<NodeId>(graph_.nodes.size());
  graph_.nodes.push_back({std::move(name), std::move(attrs), std::move(inputs), {output}});
}

ValueId Gradients::of(ValueId value) const {
  const auto index = static_cast<uint32_t>(value);
  return index < gradients_.size() ? gradients_[index] : ValueId::kNone;
}

void Gradients::add(ValueId value, ValueId gradient) {
  if (!needed(value)) return;
  const auto index = static_cast<uint32_t>(value);
  if (gradients_.size() <= index) gradients_.resize(index + 1, ValueId::kNone);
  ValueId& sum = gradients_[index];
  sum = sum == ValueId::kNone
            ? gradient
            : to_.node(to_.graph().value(value).name + " gradients", AddAttrs{}, {sum, gradient});
}

ValueId Gradients::parameter(ValueId value) {
  for (const auto& [parameter, gradient] : parameters_) {
    if (parameter == value) return gradient;
  }
  const Value& of = to_.graph().value(value);
  const ValueId state = to_.zero_state(state_name(of.name, "grad"), of.shape);
  parameters_.emplace_back(value, state);
  return state;
}

}  // namespace caldera
