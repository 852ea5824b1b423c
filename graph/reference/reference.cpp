// The graph on the CPU: each node's operands are gathered as dense arrays and handed to the
// operator's function in operators.h.
#include "caldera/reference.h"

#include <cassert>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "graph/reference/operators.h"
#include "graph/reference/training_operators.h"

namespace caldera {
namespace {

using reference::Affine;
using reference::Array;
using reference::Finish;
using reference::Floats;

bool is_weight(ValueRole role) {
  return role == ValueRole::kParameter || role == ValueRole::kState || role == ValueRole::kConstant;
}

// A parameter's, state's or constant's elements at the start.
Floats initial(const Value& value, const Weights& weights) {
  const auto found = weights.find(value.name);
  if (found == weights.end()) return Floats(static_cast<size_t>(element_count(value.shape)), 0.0f);
  const Tensor converted = found->second.to_f32();
  return {converted.floats().begin(), converted.floats().end()};
}

// One node's operands; keeps weights that had to be converted to f32.
class Operands {
 public:
  Operands(const Graph& graph, const Node& node, const Weights& weights,
           const ReferenceValues& values) {
    converted_.reserve(node.inputs.size());  // Arrays point into it.
    for (const ValueId id : node.inputs) {
      const Value& value = graph.value(id);
      const Floats& held = values[id];
      if (is_weight(value.role) && held.empty()) {
        const auto found = weights.find(value.name);
        assert(found != weights.end());
        converted_.push_back(found->second.to_f32());
        arrays_.push_back({converted_.back().floats(), value.shape});
      } else {
        arrays_.push_back({held, value.shape});
      }
    }
  }

  const Array& operator[](size_t i) const { return arrays_[i]; }
  const std::vector<Array>& all() const { return arrays_; }
  // The third operand, a bias, where attributes say that there is one.
  const Array* bias(bool there) const { return there ? &arrays_[2] : nullptr; }
  // The residual, where there is one, is the last operand.
  Finish finish(const Epilogue& epilogue) const {
    return {epilogue.activation, epilogue.residual ? arrays_.back().data.data() : nullptr};
  }
  Floats copy() const { return {arrays_[0].data.begin(), arrays_[0].data.end()}; }

 private:
  std::vector<Tensor> converted_;
  std::vector<Array> arrays_;
};

// Values that a node updates.
struct Updates {
  std::vector<Floats> values;
  std::vector<Shape> shapes;
};

// A node's attributes -> its output, empty where it only updates, or a list of several.
struct Compute {
  const Operands& in;
  const Shape& shape;  // The first output's.
  Updates& updates;

  // Statistics, weight and bias: the operands from `first` on.
  Affine affine(size_t first, float eps) const {
    return {in[first], in[first + 1], in[first + 2], eps};
  }

  Floats operator()(const Conv2dAttrs& attrs) const {
    const Finish finish = in.finish(attrs.epilogue);
    return reference::conv2d(attrs, in[0], in[1], in.bias(attrs.bias), finish, shape);
  }
  Floats operator()(const BatchNormAttrs& attrs) const {
    const Finish finish = in.finish(attrs.epilogue);
    return reference::batch_norm(attrs, in[0], in[1], in[2], in[3], in[4], finish);
  }
  Floats operator()(const LinearAttrs& attrs) const {
    return reference::linear(in[0], in[1], in.bias(attrs.bias), in.finish(attrs.epilogue));
  }
  Floats operator()(const ActivationAttrs& attrs) const {
    return reference::activation(attrs, in[0]);
  }
  Floats operator()(const AddAttrs& attrs) const { return reference::add(attrs, in[0], in[1]); }
  Floats operator()(const MultiplyAttrs& attrs) const {
    return reference::multiply(attrs, in[0], in[1]);
  }
  Floats operator()(const ConcatAttrs&) const { return reference::concat(in.all(), shape); }
  std::vector<Floats> operator()(const MaxPool2dAttrs& attrs) const {
    return reference::max_pool2d(attrs, in[0], shape);
  }
  Floats operator()(const AvgPool2dAttrs& attrs) const {
    return reference::avg_pool2d(attrs, in[0], shape);
  }
  Floats operator()(const AdaptiveAvgPool2dAttrs& attrs) const {
    return reference::adaptive_avg_pool2d(attrs, in[0]);
  }
  Floats operator()(const SoftmaxAttrs&) const { return reference::softmax(in[0]); }
  Floats operator()(const PadAttrs& attrs) const { return reference::pad(attrs, in[0], shape); }
  Floats operator()(const SubsampleAttrs& attrs) const {
    return reference::subsample(attrs, in[0], shape);
  }
  Floats operator()(const FlattenAttrs&) const { return in.copy(); }
  Floats operator()(const ConvertAttrs&) const { return in.copy(); }
  Floats operator()(const DropoutAttrs&) const { return in.copy(); }

  Floats operator()(const BatchStatisticsAttrs&) const {
    return reference::batch_statistics(in[0]);
  }
  Floats operator()(const FrozenStatisticsAttrs&) const {
    return reference::frozen_statistics(in[0], in[1]);
  }
  Floats operator()(const NormalizeAttrs& attrs) const {
    return reference::normalize(in[0], affine(1, attrs.eps), in.finish(attrs.epilogue));
  }
  Floats operator()(const UpdateRunningAttrs& attrs) const {
    reference::update_running(attrs, in[0], in[1], updates.values[0], updates.values[1]);
    return {};
  }
  Floats operator()(const NormalizeSumsAttrs& attrs) const {
    return reference::normalize_sums(attrs, in[0], in[1], affine(2, attrs.eps), updates.values);
  }
  Floats operator()(const NormalizeGradientAttrs& attrs) const {
    return reference::normalize_gradient(attrs.activation, in[0], in[1], affine(2, attrs.eps),
                                         attrs.frozen ? nullptr : &in[5]);
  }
  Floats operator()(const ActivationGradientAttrs& attrs) const {
    return reference::activation_gradient(attrs, in[0], in[1]);
  }
  Floats operator()(const Conv2dWeightGradientAttrs& attrs) const {
    reference::conv2d_weight_gradient(attrs, in[0], in[1], updates.shapes[0], updates.values[0]);
    return {};
  }
  Floats operator()(const BiasGradientAttrs&) const {
    reference::bias_gradient(in[0], updates.values[0]);
    return {};
  }
  Floats operator()(const TransposeWeightAttrs& attrs) const {
    return reference::transpose_weight(attrs, in[0]);
  }
  Floats operator()(const UpsampleZerosAttrs& attrs) const {
    return reference::upsample_zeros(attrs, in[0], shape);
  }
  Floats operator()(const InterleaveAttrs& attrs) const {
    return reference::interleave(attrs, in.all(), shape);
  }
  Floats operator()(const MaxPool2dGradientAttrs& attrs) const {
    return reference::max_pool2d_gradient(attrs.pool, in[0], in[1], shape);
  }
  Floats operator()(const AvgPool2dGradientAttrs& attrs) const {
    return reference::avg_pool2d_gradient(attrs.pool, in[0], shape);
  }
  Floats operator()(const AdaptiveAvgPool2dGradientAttrs&) const {
    return reference::adaptive_avg_pool2d_gradient(in[0], shape);
  }
  Floats operator()(const SumPixelsAttrs&) const { return reference::sum_pixels(in[0]); }
  Floats operator()(const UnflattenAttrs&) const { return in.copy(); }
  Floats operator()(const DropoutMaskAttrs& attrs) const {
    return reference::dropout_mask(attrs, in[0], in[1]);
  }
  Floats operator()(const SoftmaxGradientAttrs&) const {
    return reference::softmax_gradient(in[0], in[1]);
  }
  Floats operator()(const CrossEntropyAttrs&) const {
    return reference::cross_entropy(in[0], in[1]);
  }
  Floats operator()(const CrossEntropyGradientAttrs&) const {
    return reference::cross_entropy_gradient(in[0], in[1], in[2]);
  }
  Floats operator()(const GradientNormsAttrs&) const { return reference::gradient_norms(in.all()); }
  Floats operator()(const OptimizerAttrs& attrs) const {
    reference::optimizer(attrs, in[0], in[1], updates.values);
    return {};
  }
};

// What a node updates, as it stands before the node.
Updates updates_of(const Graph& graph, const Node& node, const Weights& weights,
                   const ReferenceValues& values) {
  Updates updates;
  for (const ValueId id : node.updates) {
    const Value& value = graph.value(id);
    updates.values.push_back(values[id].empty() ? initial(value, weights) : values[id]);
    updates.shapes.push_back(value.shape);
  }
  return updates;
}

std::vector<Floats> as_list(std::vector<Floats> outputs) {
  return outputs;
}
std::vector<Floats> as_list(Floats output) {
  std::vector<Floats> list;
  list.push_back(std::move(output));
  return list;
}

// By output; one empty array for an operator that only updates.
std::vector<Floats> compute(const Graph& graph, const Node& node, const Weights& weights,
                            const ReferenceValues& values, Updates& updates) {
  const Operands operands(graph, node, weights, values);
  const Shape shape = node.outputs.empty() ? Shape{} : graph.value(node.output()).shape;
  const Compute operation{operands, shape, updates};
  return std::visit([&](const auto& attrs) { return as_list(operation(attrs)); }, node.attrs);
}

Status check_weights(const Graph& graph, const Weights& weights) {
  for (const Value& value : graph.values) {
    if (!is_weight(value.role)) continue;
    const auto found = weights.find(value.name);
    if (found == weights.end()) {
      if (value.starts_at_zero) continue;
      return Error{ErrorCode::kInvalidInput,
                   "no weights for '" + value.name + "' " + to_string(value.shape)};
    }
    if (found->second.shape() != value.shape) {
      return Error{ErrorCode::kInvalidInput, "the weights for '" + value.name + "' are " +
                                                 to_string(found->second.shape()) +
                                                 ", but the graph needs " + to_string(value.shape)};
    }
  }
  return {};
}

}  // namespace

std::vector<float> reference_node(const Graph& graph, const Node& node, const Weights& weights,
                                  const ReferenceValues& values) {
  Updates updates = updates_of(graph, node, weights, values);
  return std::move(compute(graph, node, weights, values, updates)[0]);
}

Result<ReferenceValues> run_reference(const Graph& graph, const Weights& weights,
                                      const std::vector<std::vector<float>>& inputs) {
  return detail::no_throw<Result<ReferenceValues>>(
      "the reference", [&]() -> Result<ReferenceValues> {
        CALDERA_TRY(check_weights(graph, weights));
        if (inputs.size() != graph.inputs.size()) {
          return Error{ErrorCode::kInvalidInput,
                       "the graph has " + std::to_string(graph.inputs.size()) + " inputs, but " +
                           std::to_string(inputs.size()) + " were given"};
        }
        ReferenceValues result;
        result.values.resize(graph.values.size());
        for (size_t i = 0; i < inputs.size(); ++i) {
          const Value& value = graph.value(graph.inputs[i]);
          if (static_cast<int64_t>(inputs[i].size()) != element_count(value.shape)) {
            return Error{ErrorCode::kInvalidInput,
                         "input '" + value.name + "' is " + to_string(value.shape) + ", but " +
                             std::to_string(inputs[i].size()) + " values were given"};
          }
          result.values[static_cast<uint32_t>(graph.inputs[i])] = inputs[i];
        }
        for (size_t i = 0; i < graph.values.size(); ++i) {
          if (graph.values[i].starts_at_zero) result.values[i] = initial(graph.values[i], weights);
        }
        for (const Node& node : graph.nodes) {
          Updates updates = updates_of(graph, node, weights, result);
          std::vector<Floats> outputs = compute(graph, node, weights, result, updates);
          for (size_t i = 0; i < node.updates.size(); ++i) {
            result.values[static_cast<uint32_t>(node.updates[i])] = std::move(updates.values[i]);
          }
          for (size_t i = 0; i < node.outputs.size(); ++i) {
            result.values[static_cast<uint32_t>(node.outputs[i])] = std::move(outputs[i]);
          }
        }
        return result;
      });
}

double relative_l2(const std::vector<float>& a, const std::vector<float>& b) {
  assert(a.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::isnan(a[i]) || std::isnan(b[i])) return std::numeric_limits<double>::infinity();
    if (a[i] == b[i] && std::isinf(b[i])) continue;  // inf - inf says nothing.
    const double d = double{a[i]} - double{b[i]};
    difference += d * d;
    norm += double{b[i]} * double{b[i]};
  }
  if (difference == 0) return 0;
  return norm == 0 || std::isinf(difference) ? std::numeric_limits<double>::infinity()
                                             : std::sqrt(difference / norm);
}

}  // namespace caldera
