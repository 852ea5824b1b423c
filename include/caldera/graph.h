// What to compute, as plain data: nodes (operators with named attributes) over values (inputs,
// parameters, states, constants, activations). GraphBuilder makes a graph with its shapes
// inferred and checked; passes rewrite it; a Session runs it.
//
// Shapes are PyTorch's: activations [N, C, H, W] or [N, F]; convolution weights
// [O, I / groups, KH, KW]; linear weights [O, I]. How they lie on a device is the executor's
// affair (docs/architecture.md).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "caldera/result.h"
#include "caldera/storage.h"
#include "caldera/tensor.h"

namespace caldera {

enum class ValueId : uint32_t { kNone = ~0u };
enum class NodeId : uint32_t { kNone = ~0u };

enum class ValueRole : uint8_t {
  kInput,       // Given for every run.
  kParameter,   // Weights and biases.
  kState,       // What a training step updates but no gradient reaches: running statistics.
  kConstant,    // Fixed when the graph is made.
  kActivation,  // Made by a node.
};

struct Value {
  std::string name;  // A parameter's or state's PyTorch state_dict name, else its node's name.
  ValueRole role = ValueRole::kActivation;
  Shape shape;
  bool trainable = false;
  NodeId producer = NodeId::kNone;
  bool starts_at_zero = false;  // A state that is zero where the weights do not hold it.
  // How a device stores it. Where a graph leaves it open, a plan chooses it by its precision.
  std::optional<Storage> storage{};
};

enum class OpKind : uint8_t {
  kConv2d,
  kBatchNorm,
  kActivation,
  kAdd,
  kMultiply,
  kConcat,
  kMaxPool2d,
  kAvgPool2d,
  kAdaptiveAvgPool2d,
  kLinear,
  kSoftmax,
  kPad,
  kSubsample,
  kFlatten,
  kConvert,
  kDropout,
  // Of training (caldera/training_ops.h).
  kBatchStatistics,
  kFrozenStatistics,
  kNormalize,
  kUpdateRunning,
  kNormalizeSums,
  kNormalizeGradient,
  kActivationGradient,
  kConv2dWeightGradient,
  kBiasGradient,
  kTransposeWeight,
  kUpsampleZeros,
  kInterleave,
  kMaxPool2dGradient,
  kAvgPool2dGradient,
  kAdaptiveAvgPool2dGradient,
  kSumPixels,
  kUnflatten,
  kDropoutMask,
  kSoftmaxGradient,
  kCrossEntropy,
  kCrossEntropyGradient,
  kGradientNorms,
  kOptimizer,
};

enum class Activation : uint8_t { kNone, kRelu, kRelu6, kSigmoid, kSilu, kHardSwish };

// Height first, as PyTorch orders them.
struct Size2d {
  int32_t h = 1;
  int32_t w = 1;
  friend bool operator==(const Size2d&, const Size2d&) = default;
};

// What a node does to its result before it is stored: y = activation(y + residual). Set by
// fusion. The residual, where there is one, is the node's last input, of the result's shape.
struct Epilogue {
  bool residual = false;
  Activation activation = Activation::kNone;
};

// Inputs: x, weight, [bias], [residual].
struct Conv2dAttrs {
  Size2d stride{1, 1};
  Size2d padding{0, 0};  // Zeros on both sides.
  Size2d dilation{1, 1};
  int32_t groups = 1;
  bool bias = false;
  Epilogue epilogue{};
};

// Inference: y = (x - mean) / sqrt(var + eps) * weight + bias.
// Inputs: x, weight, bias, running_mean, running_var, [residual].
struct BatchNormAttrs {
  float eps = 1e-5f;
  Epilogue epilogue{};
};

// Input: x.
struct ActivationAttrs {
  Activation activation = Activation::kRelu;
};

// Inputs: a, b of one shape; b may also be [N, C, 1, 1] (a gate a channel).
struct AddAttrs {
  Activation activation = Activation::kNone;  // Set by fusion.
};
struct MultiplyAttrs {
  Activation activation = Activation::kNone;  // Set by fusion.
};

// Along channels; any number of inputs.
struct ConcatAttrs {};

// Padding counts as minus infinity. A NaN in a window gives NaN. With `places` there is a second
// output of the same shape, which the gradient reads: at which tap (row by row) of its window each
// maximum stands, the first of equals; each NaN counts as greater than what stood before it.
struct MaxPool2dAttrs {
  Size2d kernel{1, 1};
  Size2d stride{1, 1};
  Size2d padding{0, 0};
  Size2d dilation{1, 1};
  bool ceil_mode = false;
  bool places = false;
};

struct AvgPool2dAttrs {
  Size2d kernel{1, 1};
  Size2d stride{1, 1};
  Size2d padding{0, 0};
  bool ceil_mode = false;
  bool count_include_pad = true;
};

// Bin i covers [floor(i * in / out), ceil((i + 1) * in / out)), as PyTorch has it.
struct AdaptiveAvgPool2dAttrs {
  Size2d output{1, 1};
};

// y = x weight^T + bias. Inputs: x [N, I], weight [O, I], [bias], [residual].
struct LinearAttrs {
  bool bias = true;
  Epilogue epilogue{};
};

// Over channels (dimension 1).
struct SoftmaxAttrs {};

// Zeros around each image and before and after its channels, or those of [N, F]; of negative
// amounts, so many are cut off.
struct PadAttrs {
  int32_t channels_before = 0;
  int32_t channels_after = 0;
  int32_t top = 0;
  int32_t bottom = 0;
  int32_t left = 0;
  int32_t right = 0;
};

// x[:, :, ::stride.h, ::stride.w]
struct SubsampleAttrs {
  Size2d stride{2, 2};
};

// [N, C, H, W] -> [N, C * H * W], channels outermost.
struct FlattenAttrs {};

// The same numbers in another storage, `to`. Plans place it where layers are stored differently.
struct ConvertAttrs {
  Storage to = Storage::kF32;
};

// The identity in inference.
struct DropoutAttrs {
  float probability = 0.5f;
};

}  // namespace caldera

#include "caldera/training_ops.h"

namespace caldera {

using Attrs =
    std::variant<Conv2dAttrs, BatchNormAttrs, ActivationAttrs, AddAttrs, MultiplyAttrs, ConcatAttrs,
                 MaxPool2dAttrs, AvgPool2dAttrs, AdaptiveAvgPool2dAttrs, LinearAttrs, SoftmaxAttrs,
                 PadAttrs, SubsampleAttrs, FlattenAttrs, ConvertAttrs, DropoutAttrs,
                 BatchStatisticsAttrs, FrozenStatisticsAttrs, NormalizeAttrs, UpdateRunningAttrs,
                 NormalizeSumsAttrs, NormalizeGradientAttrs, ActivationGradientAttrs,
                 Conv2dWeightGradientAttrs, BiasGradientAttrs, TransposeWeightAttrs,
                 UpsampleZerosAttrs, InterleaveAttrs, MaxPool2dGradientAttrs,
                 AvgPool2dGradientAttrs, AdaptiveAvgPool2dGradientAttrs, SumPixelsAttrs,
                 UnflattenAttrs, DropoutMaskAttrs, SoftmaxGradientAttrs, CrossEntropyAttrs,
                 CrossEntropyGradientAttrs, GradientNormsAttrs, OptimizerAttrs>;

struct Node {
  std::string name;  // The module's name: "layer1.0.conv1".
  Attrs attrs;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs{};  // None for an operator that only updates.
  // Parameters and states that it changes in place, for the nodes after it and the runs to come.
  std::vector<ValueId> updates{};
  bool full_precision = false;  // Whether it computes on f32 values whatever the precision.

  // The attribute structs stand in the order of OpKind.
  OpKind kind() const { return static_cast<OpKind>(attrs.index()); }
  // The first output, which is what the operator is for; kNone where there is none.
  ValueId output() const { return outputs.empty() ? ValueId::kNone : outputs[0]; }
};

// Nodes stand in an order in which they can run.
struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;

  Value& value(ValueId id) { return values[static_cast<uint32_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<uint32_t>(id)]; }
  Node& node(NodeId id) { return nodes[static_cast<uint32_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<uint32_t>(id)]; }

  // The value of that name, or kNone.
  ValueId find(std::string_view name) const;
};

// Parameters, states and constants by value name.
using Weights = std::map<std::string, Tensor, std::less<>>;

// The operator's name: "conv2d", "max_pool2d", ...
std::string_view op_name(OpKind kind);
std::string_view activation_name(Activation activation);

// The shapes of a node's outputs from those of its inputs, or what does not fit. Empty for an
// operator that only updates.
Result<std::vector<Shape>> infer_shapes(const Attrs& attrs, const std::vector<Shape>& inputs);

// The storage that a node's output has because of what it is, as max-pool's places do; most have
// none.
std::optional<Storage> fixed_storage(OpKind kind, size_t output);

// Multiply-adds of one node, counted as the papers count them (convolutions and linear layers).
int64_t multiply_adds(const Graph& graph, const Node& node);
int64_t multiply_adds(const Graph& graph);

// Elements of all parameters (not states): what papers call a network's size.
int64_t parameter_count(const Graph& graph);

// Builds a graph one operator at a time. `name` is the module's name in the state_dict, from
// which parameter names follow ("conv1" -> "conv1.weight"). The first failure sticks: later calls
// return kNone, and finish() tells it with the name of the node.
class GraphBuilder {
 public:
  ValueId input(std::string name, Shape shape);

  // attrs.bias says whether there is a bias parameter.
  ValueId conv2d(std::string_view name, ValueId x, int64_t out_channels, Size2d kernel,
                 Conv2dAttrs attrs = {});
  ValueId batch_norm(std::string_view name, ValueId x, BatchNormAttrs attrs = {});
  ValueId linear(std::string_view name, ValueId x, int64_t out_features, LinearAttrs attrs = {});
  ValueId activation(std::string_view name, ValueId x, Activation activation);
  ValueId relu(std::string_view name, ValueId x) { return activation(name, x, Activation::kRelu); }
  ValueId add(std::string_view name, ValueId a, ValueId b);
  ValueId multiply(std::string_view name, ValueId a, ValueId b);
  ValueId concat(std::string_view name, std::vector<ValueId> inputs);
  ValueId max_pool2d(std::string_view name, ValueId x, MaxPool2dAttrs attrs);
  ValueId avg_pool2d(std::string_view name, ValueId x, AvgPool2dAttrs attrs);
  ValueId adaptive_avg_pool2d(std::string_view name, ValueId x, AdaptiveAvgPool2dAttrs attrs);
  ValueId softmax(std::string_view name, ValueId x);
  ValueId pad(std::string_view name, ValueId x, PadAttrs attrs);
  ValueId subsample(std::string_view name, ValueId x, SubsampleAttrs attrs);
  ValueId flatten(std::string_view name, ValueId x);
  ValueId dropout(std::string_view name, ValueId x, DropoutAttrs attrs);

  void output(ValueId x);

  // The shape of a value made so far; empty for kNone.
  const Shape& shape(ValueId x) const;

  Result<Graph> finish() &&;

 private:
  ValueId parameter(std::string name, Shape shape, ValueRole role = ValueRole::kParameter);
  ValueId append(std::string_view name, Attrs attrs, std::vector<ValueId> inputs);
  void fail(std::string message);
  bool holds(ValueId x) const;

  Graph graph_;
  std::string error_;
};

}  // namespace caldera
