// The graph on the CPU: each node's operands are gathered as dense arrays and handed to the
// operator's function in operators.h.
#include "caldera/reference.h"

#include <cassert>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "graph/reference/operators.h"

namespace caldera {
namespace {

using reference::Array;
using reference::Finish;
using reference::Floats;

bool is_weight(ValueRole role) {
  return role == ValueRole::kParameter || role == ValueRole::kState || role == ValueRole::kConstant;
}

// One node's operands; keeps weights that had to be converted to f32.
class Operands {
 public:
  Operands(const Graph& graph, const Node& node, const Weights& weights,
           const ReferenceValues& values) {
    converted_.reserve(node.inputs.size());  // Arrays point into it.
    for (const ValueId id : node.inputs) {
      const Value& value = graph.value(id);
      if (is_weight(value.role)) {
        const auto found = weights.find(value.name);
        assert(found != weights.end());
        converted_.push_back(found->second.to_f32());
        arrays_.push_back({converted_.back().floats(), value.shape});
      } else {
        arrays_.push_back({values[id], value.shape});
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

// A node's attributes -> its output.
struct Compute {
  const Operands& in;
  const Shape& shape;  // Of the output.

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
  Floats operator()(const MaxPool2dAttrs& attrs) const {
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
  Floats operator()(const DropoutAttrs&) const { return in.copy(); }
};

Status check_weights(const Graph& graph, const Weights& weights) {
  for (const Value& value : graph.values) {
    if (!is_weight(value.role)) continue;
    const auto found = weights.find(value.name);
    if (found == weights.end()) {
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
  const Operands operands(graph, node, weights, values);
  return std::visit(Compute{operands, graph.value(node.output).shape}, node.attrs);
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
        for (const Node& node : graph.nodes) {
          result.values[static_cast<uint32_t>(node.output)] =
              reference_node(graph, node, weights, result);
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
