// A training step on the device against the same graph on the CPU: loss, logits, norms, and every
// state that the step changed.
#include <algorithm>
#include <functional>
#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/autodiff.h"
#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/kernel.h"
#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_blocks.h"
#include "tests/graph/training_run.h"
#include "tests/support/device.h"
#include "tests/support/require.h"

namespace caldera {
namespace {

struct NetCase {
  std::string name;
  std::function<void(GraphBuilder&)> build;
  TrainingSpec spec{};
};

void PrintTo(const NetCase& net, std::ostream* out) {
  *out << net.name;
}

class TrainingStep : public testing::TestWithParam<NetCase> {};

TEST_P(TrainingStep, GivesTheReferencesResult) {
  CALDERA_REQUIRE_DEVICE(device);
  GraphBuilder builder;
  GetParam().build(builder);
  const Graph forward = std::move(builder).finish().value();
  const auto training = make_training_graph(forward, GetParam().spec);
  ASSERT_TRUE(training.ok()) << training.error().message;
  const Graph& graph = training->graph;
  Weights weights = test::random_weights(forward);
  std::vector<std::vector<float>> inputs = test::random_inputs(forward);
  inputs.push_back(test::one_hot_targets(graph.value(graph.inputs[1]).shape));
  inputs.push_back(test::step_scalars(1));

  for (const bool fuse : {false, true}) {
    SCOPED_TRACE(fuse ? "fused" : "unfused");
    auto session =
        Session::create(device, graph, weights, {.fuse = fuse, .keep_activations = true});
    ASSERT_TRUE(session.ok()) << session.error().message;
    Weights states = weights;
    for (int64_t step = 1; step <= 3; ++step) {
      inputs[2] = test::step_scalars(step);
      std::vector<std::vector<float>> outputs;
      for (const ValueId id : graph.outputs) {
        outputs.emplace_back(static_cast<size_t>(element_count(graph.value(id).shape)));
      }
      const std::vector<std::span<const float>> from(inputs.begin(), inputs.end());
      const std::vector<std::span<float>> to(outputs.begin(), outputs.end());
      ASSERT_TRUE(poison_memory(*session).ok());
      const Status ran = session->run(from, to);
      ASSERT_TRUE(ran.ok()) << ran.error().message;
      const auto expected = run_reference(graph, states, inputs);
      ASSERT_TRUE(expected.ok()) << expected.error().message;
      if (!fuse && step == 1) {
        for (const Node& node : graph.nodes) {
          if (node.output() == ValueId::kNone || node.kind() == OpKind::kTransposeWeight) continue;
          const auto found = session->read(node.output());
          ASSERT_TRUE(found.ok()) << found.error().message;
          EXPECT_LE(relative_l2(*found, (*expected)[node.output()]), 1e-4)
              << node.name << " " << op_name(node.kind());
        }
      }
      for (size_t i = 0; i < outputs.size(); ++i) {
        EXPECT_LE(relative_l2(outputs[i], (*expected)[graph.outputs[i]]), 1e-4) << "output " << i;
      }
      const auto changed = session->states();
      ASSERT_TRUE(changed.ok()) << changed.error().message;
      for (size_t i = 0; i < graph.values.size(); ++i) {
        const auto found = changed->find(graph.values[i].name);
        if (found == changed->end()) continue;
        const std::vector<float>& values = (*expected)[static_cast<ValueId>(i)];
        const std::vector<float> got(found->second.floats().begin(), found->second.floats().end());
        EXPECT_LE(relative_l2(got, values), 1e-4) << found->first << " step " << step;
        states.insert_or_assign(found->first, Tensor::from_floats(found->second.shape(), values));
      }
    }
  }
}

TEST_P(TrainingStep, GivesTheSameBitsInSmallBlocks) {
  CALDERA_REQUIRE_DEVICE(device);
  GraphBuilder builder;
  GetParam().build(builder);
  const Graph forward = std::move(builder).finish().value();
  const Graph graph = make_training_graph(forward, GetParam().spec).value().graph;
  std::vector<std::vector<float>> inputs = test::random_inputs(forward);
  inputs.push_back(test::one_hot_targets(graph.value(graph.inputs[1]).shape));
  inputs.push_back(test::step_scalars(1));
  const SessionStats stats =
      test::expect_same_bits_in_small_blocks(device, graph, test::random_weights(forward), inputs);
  EXPECT_GT(stats.states_blocks.size(), 1u);
}

// A basic block with a projection, as in ResNets.
void residual(GraphBuilder& b) {
  ValueId x = b.input("x", {4, 3, 12, 12});
  x = b.relu("relu1", b.batch_norm("bn1", b.conv2d("conv1", x, 16, {3, 3}, {.padding = {1, 1}})));
  x = b.max_pool2d("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
  ValueId y = b.relu("relu2", b.batch_norm("bn2", b.conv2d("conv2", x, 20, {3, 3},
                                                           {.stride = {2, 2}, .padding = {1, 1}})));
  y = b.batch_norm("bn3", b.conv2d("conv3", y, 20, {3, 3}, {.padding = {1, 1}}));
  const ValueId shortcut =
      b.batch_norm("bn4", b.conv2d("conv4", x, 20, {1, 1}, {.stride = {2, 2}}));
  x = b.relu("relu3", b.add("add", y, shortcut));
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{1, 1}}));
  b.output(b.linear("fc", x, 10));
}

// Option A's shortcut, and no normalisation in the way of the first layers' biases.
void padded(GraphBuilder& b) {
  ValueId x = b.input("x", {5, 4, 9, 7});
  x = b.relu("relu1", b.conv2d("conv1", x, 8, {3, 3}, {.padding = {1, 1}, .bias = true}));
  ValueId y = b.relu("relu2", b.conv2d("conv2", x, 16, {3, 3},
                                       {.stride = {2, 2}, .padding = {1, 1}, .bias = true}));
  const ValueId shortcut = b.pad("pad", b.subsample("subsample", x, {{2, 2}}),
                                 {.channels_before = 4, .channels_after = 4});
  x = b.relu("relu3", b.add("add", y, shortcut));
  x = b.avg_pool2d("pool", x, {.kernel = {2, 3}, .stride = {2, 1}, .padding = {1, 1}});
  x = b.dropout("dropout", b.flatten("flatten", x), {0.4f});
  b.output(b.linear("fc", x, 7));
}

// Groups, dilation, gates, joins and smooth activations.
void odd(GraphBuilder& b) {
  ValueId x = b.input("x", {3, 8, 11, 6});
  x = b.activation(
      "silu",
      b.batch_norm(
          "bn1", b.conv2d("conv1", x, 12, {3, 2},
                          {.stride = {2, 1}, .padding = {2, 1}, .dilation = {2, 1}, .groups = 4})),
      Activation::kSilu);
  const ValueId depthwise = b.activation(
      "swish", b.conv2d("conv2", x, 12, {3, 3}, {.padding = {1, 1}, .groups = 12, .bias = true}),
      Activation::kHardSwish);
  const ValueId gate =
      b.activation("sigmoid",
                   b.conv2d("conv3", b.adaptive_avg_pool2d("squeeze", depthwise, {{1, 1}}), 12,
                            {1, 1}, {.bias = true}),
                   Activation::kSigmoid);
  x = b.concat("concat", {b.multiply("gated", depthwise, gate), x});
  x = b.activation("relu6", b.batch_norm("bn2", x), Activation::kRelu6);
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{2, 3}}));
  b.output(b.linear("fc", x, 5));
}

// What the kernels of conv2d and linear are made for: 3x3, 1x1, depthwise, and unlike sides.
void every_layout(GraphBuilder& b) {
  ValueId x = b.input("x", {2, 5, 9, 8});
  x = b.conv2d("first", x, 18, {3, 3}, {.padding = {1, 1}});
  x = b.batch_norm("norm", b.conv2d("second", x, 16, {3, 3}, {.padding = {1, 1}}));
  x = b.conv2d("pointwise", x, 20, {1, 1});
  x = b.conv2d("depthwise", x, 20, {3, 3}, {.padding = {1, 1}, .groups = 20});
  x = b.relu("relu", b.conv2d("uneven", x, 11, {3, 5}, {.padding = {0, 1}}));
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{1, 1}}));
  b.output(b.linear("fc2", b.linear("fc1", x, 13), 5));
}

TrainingSpec sgd(BatchNormMode mode = BatchNormMode::kTrain) {
  TrainingSpec spec;
  spec.batch_norm = mode;
  spec.optimizer = {.momentum = 0.9f, .weight_decay = 1e-2f};
  return spec;
}

TrainingSpec adamw() {
  TrainingSpec spec;
  spec.optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2f, .max_norm = 0.5f};
  spec.optimizer.ema_decay = 0.9f;
  spec.decay_vectors = false;
  spec.cumulative_statistics = true;
  return spec;
}

TrainingSpec head_only() {
  TrainingSpec spec = sgd(BatchNormMode::kFrozen);
  spec.trainable = [](std::string_view name) { return name.starts_with("fc."); };
  return spec;
}

// A batch-norm's bias without its weight, and a weight without its bias.
bool trains_half_of_each_norm(std::string_view name) {
  return name != "bn1.weight" && name != "bn2.bias" && name != "bn3.weight" && name != "bn4.bias";
}

TrainingSpec half_of_each_norm(BatchNormMode mode) {
  TrainingSpec spec = sgd(mode);
  spec.trainable = trains_half_of_each_norm;
  return spec;
}

// An optimizer clears the gradients of what it trains; one of anything else would grow from step to
// step.
TEST(TrainingGradients, AreKeptOfTrainedParametersAlone) {
  GraphBuilder builder;
  residual(builder);
  const Graph forward = std::move(builder).finish().value();
  for (const BatchNormMode mode : {BatchNormMode::kTrain, BatchNormMode::kFrozen}) {
    const TrainingGraph training = make_training_graph(forward, half_of_each_norm(mode)).value();
    std::vector<std::string> gradients, trained;
    for (const Value& value : training.graph.values) {
      if (value.role == ValueRole::kState && value.name.ends_with(".grad"))
        gradients.push_back(value.name);
    }
    for (const Value& value : forward.values) {
      if (value.role == ValueRole::kParameter && trains_half_of_each_norm(value.name))
        trained.push_back(state_name(value.name, "grad"));
    }
    EXPECT_THAT(gradients, testing::UnorderedElementsAreArray(trained));
  }
}

// Weights that training changes are packed on the device, mirrored for the way back, in whatever
// layout a kernel reads.
TEST(TrainingWeights, ArePackedForEveryKernelOfConvolutionsAndLinearLayers) {
  CALDERA_REQUIRE_DEVICE(device);
  GraphBuilder builder;
  every_layout(builder);
  const Graph forward = std::move(builder).finish().value();
  const TrainingGraph training = make_training_graph(forward, sgd()).value();
  const Weights weights = test::random_weights(forward);
  std::vector<std::vector<float>> inputs = test::random_inputs(forward);
  inputs.push_back(test::one_hot_targets({2, 5}));
  inputs.push_back(test::step_scalars(1));
  const test::ExpectedStep expected(training.graph, weights, inputs);
  int taken = 0;
  for (const OpKind kind : {OpKind::kConv2d, OpKind::kLinear}) {
    for (const KernelVariant& variant : kernel_variants(kind)) {
      const std::string name(variant.name);
      // A CPU driver compiles the large tiles for GPUs for seconds: the smallest has their layout.
      const bool halves = name.find("_coopmat") != name.npos;
      const bool tile = halves || name.find("_gemm_") != name.npos;
      if (tile && !name.ends_with("_32x32")) continue;
      SCOPED_TRACE(name);
      SessionOptions options{.kernels = {name}};
      if (halves) {
        if (!device.info().cooperative_matrix) continue;
        options.precision = Precision::kFp16;
      }
      const auto kernels = expected.expect_same(device, options, halves ? 5e-2 : 1e-4, /*runs=*/2);
      taken += std::ranges::find(kernels, name) != kernels.end();
    }
  }
  EXPECT_GE(taken, test::driver_has_subgroups_of_eight() ? 12 : 5);
}

// Sums over the batch in runs of images, because one binding may not span it: of odd sizes, of
// which runs may start at few places.
TEST(TrainingSlices, SumOverTheWholeBatchAllTheSame) {
  CALDERA_REQUIRE_DEVICE(device);
  GraphBuilder b;
  ValueId x = b.input("x", {41, 3, 9, 7});
  x = b.relu("relu", b.batch_norm("bn", b.conv2d("conv", x, 6, {3, 3}, {.padding = {1, 1}})));
  x = b.relu("relu2", b.conv2d("conv2", x, 18, {1, 1}, {.bias = true}));
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{1, 1}}));
  b.output(b.linear("fc", x, 5));
  const Graph forward = std::move(b).finish().value();
  const TrainingGraph training = make_training_graph(forward, sgd()).value();
  std::vector<std::vector<float>> inputs = test::random_inputs(forward);
  inputs.push_back(test::one_hot_targets({41, 5}));
  inputs.push_back(test::step_scalars(1));
  const Capabilities own = device.impl().capabilities();
  const Weights weights = test::random_weights(forward);
  const auto dispatches = [&](const Capabilities& limits) {
    auto session = create_session_within(limits, device, training.graph, weights);
    EXPECT_TRUE(session.ok()) << session.error().message;
    return session.ok() ? session.value().stats().dispatches : 0u;
  };
  const test::ExpectedStep expected(training.graph, weights, inputs);
  for (const uint32_t bytes : {100'000u, 85'000u}) {
    SCOPED_TRACE(bytes);
    Capabilities limits = own;
    limits.max_storage_buffer_range = bytes;
    limits.max_texel_buffer_elements = bytes / 40;
    limits.max_workgroup_count[0] = 5;  // Longer dispatches are folded.
    EXPECT_GT(dispatches(limits), dispatches(own));
    for (const std::string suffix : {"subgroup", "winograd4", "gemm_32x32", "direct"}) {
      SCOPED_TRACE(suffix);
      const std::string kernel = "conv2d_weight_gradient_" + suffix;
      const SessionOptions options{.kernels = {kernel}};
      const std::vector<std::string> ran =
          expected.expect_same(device, options, 1e-4, /*runs=*/2, &limits);
      const bool shuffles = suffix == "subgroup" || suffix == "winograd4";
      if (shuffles && !test::driver_has_subgroups_of_eight()) continue;
      EXPECT_THAT(ran, testing::Contains(kernel));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, TrainingStep,
    testing::Values(NetCase{"residual", residual, sgd()},
                    NetCase{"residual_frozen", residual, sgd(BatchNormMode::kFrozen)},
                    NetCase{"residual_adamw", residual, adamw()},
                    NetCase{"residual_head", residual, head_only()},
                    NetCase{"residual_half_of_each_norm", residual,
                            half_of_each_norm(BatchNormMode::kTrain)},
                    NetCase{"residual_half_of_each_frozen_norm", residual,
                            half_of_each_norm(BatchNormMode::kFrozen)},
                    NetCase{"padded", padded, sgd()}, NetCase{"odd", odd, sgd()}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace caldera
