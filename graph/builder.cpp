// GraphBuilder: makes nodes and their parameters, infers every shape, keeps the first failure.
#include <algorithm>

#include <fmt/format.h>

#include "caldera/graph.h"

namespace caldera {

namespace {
// More than any device addresses; keeps every product of extents within int64.
constexpr int64_t kMaxElements = int64_t{1} << 40;

bool extents_fit(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent < 1 || extent > kMaxElements / count) return false;
    count *= extent;
  }
  return true;
}
}  // namespace

void GraphBuilder::fail(std::string message) {
  if (error_.empty()) error_ = std::move(message);
}

bool GraphBuilder::holds(ValueId x) const {
  return static_cast<uint32_t>(x) < graph_.values.size();
}

const Shape& GraphBuilder::shape(ValueId x) const {
  static const Shape none;
  return holds(x) ? graph_.value(x).shape : none;
}

ValueId GraphBuilder::input(std::string name, Shape shape) {
  if (shape.size() != 4 && shape.size() != 2) {
    fail(fmt::format("{}: an input is [N, C, H, W] or [N, F], got {}", name, to_string(shape)));
  } else if (!extents_fit(shape)) {
    fail(fmt::format("{}: an input cannot have the shape {}", name, to_string(shape)));
  }
  if (!error_.empty()) return ValueId::kNone;
  const auto id = static_cast<ValueId>(graph_.values.size());
  graph_.values.push_back({std::move(name), ValueRole::kInput, std::move(shape)});
  graph_.inputs.push_back(id);
  return id;
}

ValueId GraphBuilder::parameter(std::string name, Shape shape, ValueRole role) {
  if (!error_.empty()) return ValueId::kNone;
  if (!extents_fit(shape)) {
    fail(fmt::format("{}: a parameter cannot have the shape {}", name, to_string(shape)));
    return ValueId::kNone;
  }
  const auto id = static_cast<ValueId>(graph_.values.size());
  graph_.values.push_back({std::move(name), role, std::move(shape), role == ValueRole::kParameter});
  return id;
}

ValueId GraphBuilder::append(std::string_view name, Attrs attrs, std::vector<ValueId> inputs) {
  if (!error_.empty()) return ValueId::kNone;
  Node node{std::string(name), std::move(attrs), std::move(inputs)};
  std::vector<Shape> shapes;
  for (const ValueId input : node.inputs) {
    if (!holds(input)) {
      fail(fmt::format("{} ({}): an input is no value of this graph", name, op_name(node.kind())));
      return ValueId::kNone;
    }
    shapes.push_back(shape(input));
  }
  Result<std::vector<Shape>> made = infer_shapes(node.attrs, shapes);
  if (made.ok() && !std::ranges::all_of(*made, extents_fit)) {
    made = Error{ErrorCode::kInvalidInput, "makes an output too large: " + to_string(made->at(0))};
  }
  if (!made.ok()) {
    fail(fmt::format("{} ({}): {}", name, op_name(node.kind()), made.error().message));
    return ValueId::kNone;
  }
  for (Shape& output : *made) {
    Value value{node.name, ValueRole::kActivation, std::move(output), false,
                static_cast<NodeId>(graph_.nodes.size())};
    value.storage = fixed_storage(node.kind(), node.outputs.size());
    node.outputs.push_back(static_cast<ValueId>(graph_.values.size()));
    graph_.values.push_back(std::move(value));
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().output();
}

ValueId GraphBuilder::conv2d(std::string_view name, ValueId x, int64_t out_channels, Size2d kernel,
                             Conv2dAttrs attrs) {
  if (!error_.empty()) return ValueId::kNone;
  const Shape& in = shape(x);
  if (in.size() != 4 || attrs.groups < 1 || in[1] % attrs.groups != 0) {
    fail(fmt::format("{} (conv2d): cannot split an input {} into {} group(s)", name, to_string(in),
                     attrs.groups));
    return ValueId::kNone;
  }
  std::vector<ValueId> inputs{x,
                              parameter(fmt::format("{}.weight", name),
                                        {out_channels, in[1] / attrs.groups, kernel.h, kernel.w})};
  if (attrs.bias) inputs.push_back(parameter(fmt::format("{}.bias", name), {out_channels}));
  return append(name, attrs, std::move(inputs));
}

ValueId GraphBuilder::batch_norm(std::string_view name, ValueId x, BatchNormAttrs attrs) {
  if (!error_.empty()) return ValueId::kNone;
  if (shape(x).size() < 2) {
    fail(fmt::format("{} (batch_norm): needs an input with channels", name));
    return ValueId::kNone;
  }
  const Shape channels{shape(x)[1]};
  const auto state = ValueRole::kState;
  return append(name, attrs,
                {x, parameter(fmt::format("{}.weight", name), channels),
                 parameter(fmt::format("{}.bias", name), channels),
                 parameter(fmt::format("{}.running_mean", name), channels, state),
                 parameter(fmt::format("{}.running_var", name), channels, state)});
}

ValueId GraphBuilder::linear(std::string_view name, ValueId x, int64_t out_features,
                             LinearAttrs attrs) {
  if (!error_.empty()) return ValueId::kNone;
  if (shape(x).size() != 2) {
    fail(fmt::format("{} (linear): needs an input [N, F], got {}: flatten it", name,
                     to_string(shape(x))));
    return ValueId::kNone;
  }
  std::vector<ValueId> inputs{
      x, parameter(fmt::format("{}.weight", name), {out_features, shape(x)[1]})};
  if (attrs.bias) inputs.push_back(parameter(fmt::format("{}.bias", name), {out_features}));
  return append(name, attrs, std::move(inputs));
}

ValueId GraphBuilder::activation(std::string_view name, ValueId x, Activation activation) {
  return append(name, ActivationAttrs{activation}, {x});
}

ValueId GraphBuilder::add(std::string_view name, ValueId a, ValueId b) {
  return append(name, AddAttrs{}, {a, b});
}

ValueId GraphBuilder::multiply(std::string_view name, ValueId a, ValueId b) {
  return append(name, MultiplyAttrs{}, {a, b});
}

ValueId GraphBuilder::concat(std::string_view name, std::vector<ValueId> inputs) {
  return append(name, ConcatAttrs{}, std::move(inputs));
}

ValueId GraphBuilder::max_pool2d(std::string_view name, ValueId x, MaxPool2dAttrs attrs) {
  return append(name, attrs, {x});
}

ValueId GraphBuilder::avg_pool2d(std::string_view name, ValueId x, AvgPool2dAttrs attrs) {
  return append(name, attrs, {x});
}

ValueId GraphBuilder::adaptive_avg_pool2d(std::string_view name, ValueId x,
                                          AdaptiveAvgPool2dAttrs attrs) {
  return append(name, attrs, {x});
}

ValueId GraphBuilder::softmax(std::string_view name, ValueId x) {
  return append(name, SoftmaxAttrs{}, {x});
}

ValueId GraphBuilder::pad(std::string_view name, ValueId x, PadAttrs attrs) {
  return append(name, attrs, {x});
}

ValueId GraphBuilder::subsample(std::string_view name, ValueId x, SubsampleAttrs attrs) {
  return append(name, attrs, {x});
}

ValueId GraphBuilder::flatten(std::string_view name, ValueId x) {
  return append(name, FlattenAttrs{}, {x});
}

ValueId GraphBuilder::dropout(std::string_view name, ValueId x, DropoutAttrs attrs) {
  return append(name, attrs, {x});
}

void GraphBuilder::output(ValueId x) {
  if (!holds(x)) fail("an output is no value of this graph");
  if (error_.empty()) graph_.outputs.push_back(x);
}

Result<Graph> GraphBuilder::finish() && {
  if (error_.empty() && graph_.outputs.empty()) fail("the graph has no output");
  if (!error_.empty()) return Error{ErrorCode::kInvalidInput, std::move(error_)};
  return std::move(graph_);
}

}  // namespace caldera
