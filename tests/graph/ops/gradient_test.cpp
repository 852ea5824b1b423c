// The gradient of every operator case, as autodiff writes it, on the device against the CPU: with
// every variant of the kernels that gradients alone have. That the CPU's gradients are right is
// shown by tests/graph/reference, by finite differences and by PyTorch.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "graph/autodiff/autodiff.h"
#include "graph/kernel.h"
#include "graph/precision.h"
#include "runtime/device_impl.h"
#include "tests/graph/ops/coverage.h"
#include "tests/graph/ops/op_case.h"
#include "tests/graph/ops/share.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/stored.h"
#include "tests/graph/training_run.h"
#include "tests/support/device.h"
#include "tests/support/require.h"
#include "tests/support/sample.h"

namespace caldera::test {
namespace {

// Relative L2. Of halves, operands are rounded before the reference sees them; what is left is the
// rounding of what passes from node to node.
double tolerance(Precision precision) {
  return precision == Precision::kFp32 ? 2e-5 : 3e-3 * rounding_in_halves(precision);
}
// Batch-norm takes differences of rounded numbers, and a whole net passes many on.
double net_tolerance(Precision precision) {
  return precision == Precision::kFp32 ? 2e-5 : 3e-2 * rounding_in_halves(precision);
}

// Of a node, its epilogue included.
Activation activation_of(const Node& node) {
  if (const auto* conv = std::get_if<Conv2dAttrs>(&node.attrs)) return conv->epilogue.activation;
  if (const auto* linear = std::get_if<LinearAttrs>(&node.attrs)) {
    return linear->epilogue.activation;
  }
  if (const auto* add = std::get_if<AddAttrs>(&node.attrs)) return add->activation;
  if (const auto* product = std::get_if<MultiplyAttrs>(&node.attrs)) return product->activation;
  return Activation::kNone;
}

// What fusion for training would not put there has no gradient.
bool has_gradient(const OpCase& test) {
  const Node& node = test.graph.nodes[0];
  if (node.kind() == OpKind::kBatchNorm || node.kind() == OpKind::kDropout) return false;
  return activation_of(node) == Activation::kNone || takes_output(activation_of(node));
}

std::vector<OpCase> with_gradients(std::vector<OpCase> cases) {
  std::erase_if(cases, [](const OpCase& test) { return !has_gradient(test); });
  return cases;
}

// The case's node, then the gradients of all that it reads for a gradient of its output, which is
// another input.
Graph gradient_graph(const OpCase& test) {
  Graph graph = test.graph;
  std::vector<bool> needs(graph.values.size());
  for (size_t i = 0; i < needs.size(); ++i) {
    const ValueRole role = graph.values[i].role;
    needs[i] = role != ValueRole::kState && role != ValueRole::kConstant;
  }
  GraphAppender to(graph);
  const Node node = graph.nodes[0];
  const ValueId dy = to.input("dy", graph.value(node.output()).shape);
  Gradients gradients(to, std::move(needs));
  gradients.add(node.output(), dy);
  append_gradient(gradients, node);
  EXPECT_TRUE(to.status().ok()) << to.status().error().message;
  graph.outputs = {node.output()};
  for (const ValueId input : test.graph.inputs) {
    const ValueId gradient = gradients.of(input);
    if (gradient != ValueId::kNone && gradient != dy) graph.outputs.push_back(gradient);
  }
  return graph;
}

// Variants, two or more, of the operators that training adds, that take one of the graph's nodes.
std::set<std::string> variants_to_force(const Device& device, const Graph& open,
                                        Precision precision) {
  const Graph graph = stored(open, storage_of(precision));
  std::set<std::string> names;
  for (const Node& node : graph.nodes) {
    if (node.kind() <= OpKind::kDropout) continue;
    const auto variants = kernel_variants(node.kind());
    if (variants.size() < 2) continue;
    const KernelContext context{device.impl().capabilities(), graph, node};
    for (const KernelVariant& variant : variants) {
      const bool taken = !variant.supported || variant.supported(context);
      if (variant.emit && taken) names.emplace(variant.name);
    }
  }
  return names;
}

// `test`: whose gradient the graph is.
void check(const Device& device, const OpCase& test, const Graph& graph, const Weights& weights,
           const std::vector<std::vector<float>>& inputs, Precision precision, double tolerance) {
  std::set<std::string> forced = variants_to_force(device, graph, precision);
  std::erase_if(forced, [&](const std::string& variant) {
    return left_out(device, test, precision, variant) || covered(test, precision, variant);
  });
  if (sampling() && forced.empty()) CALDERA_SKIP_AS_COVERED();
  if (!sampling()) forced.insert("");  // None.
  const ExpectedStep expected(graph, weights, inputs);
  for (const std::string& name : forced) {
    SCOPED_TRACE(name);
    SessionOptions options{.fuse = false, .precision = precision};
    if (!name.empty()) options.kernels = {name};
    const std::vector<std::string> kernels =
        expected.expect_same(device, options, tolerance, /*runs=*/3);
    for (const std::string& kernel : kernels) {
      if (!kernel.empty()) count_as_reached(kernel, precision);
    }
    const bool ran = std::ranges::find(kernels, name) != kernels.end();
    EXPECT_TRUE(kernels.empty() || name.empty() || ran)
        << "it did not run, though it was asked for";
    count_as_covered(test, precision, name);
  }
}

// In every precision that the device stores.
void check_activations(const Device& device, const OpCase& test, const Graph& graph,
                       const std::vector<std::vector<float>>& inputs) {
  const Weights weights = random_weights(graph);
  for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16}) {
    if (supported_precision(device.info(), precision) != precision) continue;
    // What rounds up to 6 has another slope.
    const bool rounds = precision != Precision::kFp32;
    if (rounds && activation_of(graph.nodes[0]) == Activation::kRelu6) continue;
    SCOPED_TRACE(precision_name(precision));
    check(device, test, graph, as_stored(weights, precision), as_stored(inputs, precision),
          precision, tolerance(precision));
  }
}

class EveryGradient : public testing::TestWithParam<OpCase> {};

TEST_P(EveryGradient, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = gradient_graph(GetParam());
  // Of a saturated softmax nothing but rounding is left, so no case's scale is taken.
  check_activations(device, GetParam(), graph, random_inputs(graph));
}

// Small whole numbers: most windows hold their greatest more than once.
class EveryTie : public testing::TestWithParam<OpCase> {};

TEST_P(EveryTie, GoesToTheFirst) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = gradient_graph(GetParam());
  auto inputs = random_inputs(graph);
  for (float& value : inputs[0]) value = std::round(value * 1.5f);
  check_activations(device, GetParam(), graph, inputs);
}

// Into operands and gradients at once: what lets a NaN through on its way forward and what does
// not.
class EveryNan : public testing::TestWithParam<OpCase> {};

TEST_P(EveryNan, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = gradient_graph(GetParam());
  auto inputs = random_inputs(graph);
  GetParam().edit(inputs);
  check_activations(device, GetParam(), graph, inputs);
}

// Those where a NaN stays where it is put: a convolution's gradient spreads it as its kernel likes.
std::vector<OpCase> nan_gradients() {
  std::vector<OpCase> cases = with_gradients(nan_cases());
  std::erase_if(cases, [](const OpCase& test) {
    const OpKind kind = test.graph.nodes[0].kind();
    return kind == OpKind::kConv2d || kind == OpKind::kLinear || kind > OpKind::kDropout;
  });
  return cases;
}

std::string test_name(const testing::TestParamInfo<OpCase>& info) {
  std::string name = std::to_string(info.index) + "_" + info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

std::vector<OpCase> max_pools() {
  std::vector<OpCase> cases = pool_cases();
  std::erase_if(
      cases, [](const OpCase& test) { return test.graph.nodes[0].kind() != OpKind::kMaxPool2d; });
  return cases;
}

#define CALDERA_GRADIENTS(label, cases)                                                           \
  INSTANTIATE_TEST_SUITE_P(label, EveryGradient,                                                  \
                           testing::ValuesIn(shared_out(with_gradients(cases), /*halves=*/true)), \
                           test_name)

CALDERA_GRADIENTS(ResNetConvolutions, resnet_conv_cases());
CALDERA_GRADIENTS(OddConvolutions, odd_conv_cases());
CALDERA_GRADIENTS(GroupedConvolutions, grouped_conv_cases());
CALDERA_GRADIENTS(Pools, pool_cases());
CALDERA_GRADIENTS(Pointwise, pointwise_cases());
CALDERA_GRADIENTS(Rearranging, rearranging_cases());
CALDERA_GRADIENTS(Linear, linear_cases());
INSTANTIATE_TEST_SUITE_P(NotANumber, EveryNan, testing::ValuesIn(nan_gradients()), test_name);
INSTANTIATE_TEST_SUITE_P(MaxPools, EveryTie, testing::ValuesIn(shared_out(max_pools())), test_name);

// Batch-norm on inputs [N, C, ...], as a layer of a net that is trained.
struct NormCase {
  std::string name;
  Shape input;
  Activation activation = Activation::kNone;
  bool residual = false;
  BatchNormMode mode = BatchNormMode::kTrain;
  OptimizerAttrs optimizer{};
};

// Each driver runs one of those trained, and one of those frozen.
std::string kind_of(const NormCase& test) {
  return test.mode == BatchNormMode::kTrain ? "train" : "frozen";
}

void PrintTo(const NormCase& test, std::ostream* out) {
  *out << test.name;
}

class EveryNormalization : public testing::TestWithParam<NormCase> {};

TEST_P(EveryNormalization, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  const NormCase& test = GetParam();
  GraphBuilder b;
  const ValueId x = b.input("x", test.input);
  // Something to be trained before it, so that its input needs a gradient.
  ValueId y = test.input.size() == 4 ? b.conv2d("conv", x, test.input[1], {1, 1})
                                     : b.linear("linear", x, test.input[1]);
  y = b.batch_norm("norm", y);
  if (test.residual) y = b.add("add", y, x);
  if (test.activation != Activation::kNone) y = b.activation("act", y, test.activation);
  y = b.dropout("dropout", y, {0.3f});
  b.output(b.linear("head", b.flatten("flatten", y), 3));
  const Graph forward = std::move(b).finish().value();
  TrainingSpec spec;
  spec.batch_norm = test.mode;
  spec.optimizer = test.optimizer;
  const auto training = make_training_graph(forward, spec);
  ASSERT_TRUE(training.ok()) << training.error().message;
  auto inputs = random_inputs(forward);
  inputs.push_back(one_hot_targets({test.input[0], 3}));
  inputs.push_back(step_scalars(2));
  const Weights weights = random_weights(forward);
  for (const Precision precision : {Precision::kFp16, Precision::kBf16}) {
    if (supported_precision(device.info(), precision) != precision) continue;
    SCOPED_TRACE(precision_name(precision));
    check(device, {}, training->graph, weights, inputs, precision, net_tolerance(precision));
  }
  // Far from zero, where a careless variance loses its digits.
  for (float& value : inputs[0]) value += 20;
  check(device, {}, training->graph, weights, inputs, Precision::kFp32,
        net_tolerance(Precision::kFp32));
}

INSTANTIATE_TEST_SUITE_P(
    Norms, EveryNormalization,
    testing::ValuesIn(shared_out(std::vector<NormCase>{
        NormCase{"plain", {4, 16, 9, 7}},
        NormCase{"relu",
                 {8, 24, 16, 16},
                 Activation::kRelu,
                 false,
                 BatchNormMode::kTrain,
                 {.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f}},
        NormCase{"residual",
                 {3, 5, 13, 11},
                 Activation::kRelu,
                 true,
                 BatchNormMode::kTrain,
                 {.kind = OptimizerKind::kAdam, .weight_decay = 0.01f}},
        NormCase{"silu",
                 {2, 17, 5, 3},
                 Activation::kSilu,
                 false,
                 BatchNormMode::kTrain,
                 {.kind = OptimizerKind::kAdamW, .max_norm = 0.1f, .ema_decay = 0.9f}},
        // Where a lane of 8, or of 4, takes several vectors of a pixel.
        NormCase{"several_vectors", {5, 64, 7, 5}, Activation::kRelu},
        NormCase{"many_vectors", {3, 256, 7, 5}, Activation::kRelu, true},
        NormCase{"one_pixel", {6, 130}, Activation::kSigmoid},
        NormCase{"hard_swish", {2, 3, 31, 29}, Activation::kHardSwish},
        NormCase{"frozen", {4, 12, 6, 6}, Activation::kRelu6, false, BatchNormMode::kFrozen},
        NormCase{
            "frozen_residual", {4, 12, 6, 6}, Activation::kRelu, true, BatchNormMode::kFrozen}})),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace caldera::test
