// Activations made again on the way back: the same bits as those that are kept, in less memory.
#include <functional>
#include <ostream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/trainer.h"

#include "runtime/device_impl.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_blocks.h"
#include "tests/graph/training_run.h"
#include "tests/support/device.h"
#include "tests/support/same_bits.h"

namespace caldera {
namespace {

using test::same_bits;
using testing::HasSubstr;
using testing::Not;
using Floats = std::vector<float>;

constexpr int64_t kClasses = 5;

struct NetCase {
  std::string name;
  std::function<void(GraphBuilder&, int64_t batch)> build;
  TrainingSpec spec{};
  Precision precision = Precision::kFp32;
};

void PrintTo(const NetCase& net, std::ostream* out) {
  *out << net.name;
}

ValueId conv3(GraphBuilder& b, const std::string& name, ValueId x, int64_t channels,
              int32_t stride = 1) {
  return b.conv2d(name, x, channels, {3, 3}, {.stride = {stride, stride}, .padding = {1, 1}});
}

void head(GraphBuilder& b, ValueId x) {
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{1, 1}}));
  b.output(b.linear("fc", x, kClasses));
}

// A stem with a pool, then two stages of three blocks, of which the first of each has a projection
// and the others add what they were given: a chain of sums.
void residual(GraphBuilder& b, int64_t batch) {
  ValueId x = b.input("x", {batch, 3, 22, 20});
  x = b.relu("stem.relu", b.batch_norm("stem.bn", conv3(b, "stem.conv", x, 12)));
  x = b.max_pool2d("pool", x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
  for (int i = 0; i < 6; ++i) {
    const std::string block = "block" + std::to_string(i);
    const int64_t channels = i < 3 ? 12 : 20;
    const int32_t stride = i == 3 ? 2 : 1;
    ValueId y = conv3(b, block + ".conv1", x, channels, stride);
    y = b.relu(block + ".relu1", b.batch_norm(block + ".bn1", y));
    y = b.batch_norm(block + ".bn2", conv3(b, block + ".conv2", y, channels));
    if (i % 3 == 0) {
      x = b.conv2d(block + ".down", x, channels, {1, 1}, {.stride = {stride, stride}});
      x = b.batch_norm(block + ".bn3", x);
    }
    x = b.relu(block + ".relu", b.add(block + ".add", y, x));
  }
  head(b, x);
}

// Shortcuts that are padded, and dropout of images and of features.
void padded(GraphBuilder& b, int64_t batch) {
  ValueId x = b.input("x", {batch, 3, 14, 12});
  x = b.relu("relu0", b.batch_norm("bn0", conv3(b, "conv0", x, 8)));
  for (int i = 1; i < 4; ++i) {
    const std::string n = std::to_string(i);
    const bool wider = i == 2;
    ValueId y = conv3(b, "conv" + n, x, wider ? 16 : b.shape(x)[1], wider ? 2 : 1);
    y = b.dropout("dropout" + n, b.batch_norm("bn" + n, y), {0.3f});
    if (wider) {
      x = b.pad("pad", b.subsample("subsample", x, {{2, 2}}),
                {.channels_before = 4, .channels_after = 4});
    }
    x = b.relu("relu" + n, b.add("add" + n, y, x));
  }
  x = b.avg_pool2d("pool", x, {.kernel = {2, 3}, .stride = {2, 1}, .padding = {1, 1}});
  x = b.dropout("dropout", b.flatten("flatten", x), {0.4f});
  b.output(b.linear("fc", x, kClasses));
}

// Joins, gates, groups and smooth activations.
void joined(GraphBuilder& b, int64_t batch) {
  ValueId x = b.input("x", {batch, 4, 11, 9});
  x = b.activation("silu", b.batch_norm("bn1", conv3(b, "conv1", x, 8)), Activation::kSilu);
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    const ValueId y = b.relu("relu" + n, b.batch_norm("norm" + n, x));
    x = b.concat("concat" + n, {x, conv3(b, "grow" + n, y, 4)});
  }
  const ValueId y = b.activation(
      "swish", b.conv2d("grouped", x, 20, {3, 3}, {.padding = {1, 1}, .groups = 20, .bias = true}),
      Activation::kHardSwish);
  const ValueId gate = b.activation(
      "sigmoid", b.conv2d("squeeze", b.adaptive_avg_pool2d("mean", y, {{1, 1}}), 20, {1, 1}),
      Activation::kSigmoid);
  head(b, b.activation("relu6", b.batch_norm("bn2", b.multiply("gated", y, gate)),
                       Activation::kRelu6));
}

Graph forward_of(const NetCase& net, int64_t batch = 4) {
  GraphBuilder builder;
  net.build(builder, batch);
  return std::move(builder).finish().value();
}

TrainingSpec spec_of(BatchNormMode mode, std::function<bool(std::string_view)> trainable = {}) {
  TrainingSpec spec;
  spec.batch_norm = mode;
  spec.trainable = std::move(trainable);
  spec.optimizer = {.momentum = 0.9f, .weight_decay = 1e-3f};
  return spec;
}

Graph training_graph(const NetCase& net, Checkpointing checkpointing) {
  TrainingSpec spec = net.spec;
  spec.checkpointing = checkpointing;
  return make_training_graph(forward_of(net), spec).value().graph;
}

int64_t count(const Graph& graph, OpKind kind) {
  return std::ranges::count_if(graph.nodes, [&](const Node& n) { return n.kind() == kind; });
}

Weights states_of(const Trainer& trainer) {
  const auto states = trainer.states();
  EXPECT_TRUE(states.ok());
  return *states;
}

// Filters small enough that nothing overflows where batch-norm is frozen.
Weights weights_of(const Graph& forward) {
  Weights weights = test::random_weights(forward);
  for (auto& [name, tensor] : weights) {
    if (tensor.shape().size() != 4) continue;
    Floats values(tensor.floats().begin(), tensor.floats().end());
    for (float& value : values) value *= 0.125f;
    tensor = Tensor::from_floats(tensor.shape(), std::move(values));
  }
  return weights;
}

class Recomputed : public testing::TestWithParam<NetCase> {};

TEST_P(Recomputed, TrainsTheSameBits) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph forward = forward_of(GetParam());
  const Weights weights = weights_of(forward);
  const Floats images = test::random_inputs(forward)[0];
  const Floats targets = test::one_hot_targets({4, kClasses});
  const auto make = [&](Checkpointing checkpointing) {
    TrainerOptions options{.spec = GetParam().spec, .seed = 7};
    options.spec.checkpointing = checkpointing;
    options.session.precision = GetParam().precision;
    options.loss_scale.initial = 256;
    return Trainer::create(device, forward, weights, options).value();
  };
  Trainer kept = make(Checkpointing::kNone);
  Trainer cheap = make(Checkpointing::kCheap);
  Trainer blocks = make(Checkpointing::kBlocks);
  for (int step = 0; step < 3; ++step) {
    const StepResult expected = kept.step(images, targets, 0.05f).value();
    EXPECT_FALSE(expected.skipped);
    for (Trainer* trainer : {&cheap, &blocks}) {
      const StepResult result = trainer->step(images, targets, 0.05f).value();
      EXPECT_EQ(result.loss, expected.loss);
      EXPECT_EQ(result.gradient_norm, expected.gradient_norm);
      EXPECT_TRUE(same_bits(trainer->logits(), kept.logits()));
    }
  }
  const Weights expected = states_of(kept);
  for (const Trainer* trainer : {&cheap, &blocks}) {
    for (const auto& [name, tensor] : states_of(*trainer)) {
      EXPECT_TRUE(same_bits(tensor.floats(), expected.find(name)->second.floats())) << name;
    }
  }
}

TEST_P(Recomputed, TrainsTheSameBitsInSmallBlocksOfMemory) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph forward = forward_of(GetParam());
  std::vector<Floats> inputs = test::random_inputs(forward);
  inputs.push_back(test::one_hot_targets({4, kClasses}));
  inputs.push_back(test::step_scalars(1));
  test::expect_same_bits_in_small_blocks(device, training_graph(GetParam(), Checkpointing::kBlocks),
                                         weights_of(forward), inputs,
                                         {.precision = GetParam().precision});
}

// Running statistics move once a step, and only kBlocks runs a convolution twice.
TEST_P(Recomputed, MakesAgainWhatItsNameSays) {
  const Graph none = training_graph(GetParam(), Checkpointing::kNone);
  const Graph cheap = training_graph(GetParam(), Checkpointing::kCheap);
  const Graph blocks = training_graph(GetParam(), Checkpointing::kBlocks);
  for (const OpKind once :
       {OpKind::kBatchStatistics, OpKind::kFrozenStatistics, OpKind::kUpdateRunning,
        OpKind::kLinear, OpKind::kCrossEntropy, OpKind::kConv2dWeightGradient}) {
    EXPECT_EQ(count(cheap, once), count(none, once)) << op_name(once);
    EXPECT_EQ(count(blocks, once), count(none, once)) << op_name(once);
  }
  EXPECT_GT(count(cheap, OpKind::kNormalize), count(none, OpKind::kNormalize));
  EXPECT_EQ(count(cheap, OpKind::kConv2d), count(none, OpKind::kConv2d));
  EXPECT_GT(count(blocks, OpKind::kConv2d), count(none, OpKind::kConv2d));
}

bool is_late(std::string_view name) {
  return !name.starts_with("stem") && !name.starts_with("block0");
}

INSTANTIATE_TEST_SUITE_P(
    Nets, Recomputed,
    testing::Values(
        NetCase{"residual", residual, spec_of(BatchNormMode::kTrain)},
        NetCase{"residual_frozen_norm", residual, spec_of(BatchNormMode::kFrozen)},
        NetCase{"residual_frozen_trunk", residual, spec_of(BatchNormMode::kTrain, is_late)},
        NetCase{"residual_halves", residual, spec_of(BatchNormMode::kTrain), Precision::kFp16},
        NetCase{"residual_bf16", residual, spec_of(BatchNormMode::kTrain), Precision::kBf16},
        NetCase{"padded", padded, spec_of(BatchNormMode::kTrain)},
        NetCase{"joined", joined, spec_of(BatchNormMode::kTrain)}),
    [](const auto& test) { return test.param.name; });

class Costs : public testing::Test {
 protected:
  const NetCase net_{"residual", residual, spec_of(BatchNormMode::kTrain)};
  const Weights weights_ = weights_of(forward_of(net_, 1));
  const TrainerOptions options_{.spec = net_.spec};
};

TEST_F(Costs, AreWhatTrainersThenTake) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph forward = forward_of(net_, 32);
  const auto costs = plan_steps(device, forward, weights_, options_).value();
  ASSERT_EQ(costs.size(), checkpointing_names().size());
  for (size_t i = 0; i < costs.size(); ++i) {
    TrainerOptions options = options_;
    options.spec.checkpointing = static_cast<Checkpointing>(i);
    EXPECT_EQ(costs[i].checkpointing, options.spec.checkpointing);
    const auto trainer = Trainer::create(device, forward, weights_, options);
    ASSERT_TRUE(trainer.ok()) << trainer.error().message;
    const SessionStats stats = trainer->session().stats();
    EXPECT_EQ(costs[i].arena_bytes, stats.arena_bytes);
    EXPECT_EQ(costs[i].states_bytes, stats.states_bytes);
    EXPECT_EQ(costs[i].weights_bytes, stats.weights_bytes);
    EXPECT_TRUE(costs[i].fits);
  }
  EXPECT_LT(costs[1].arena_bytes, costs[0].arena_bytes);
  EXPECT_LT(costs[2].arena_bytes, costs[1].arena_bytes);
  EXPECT_EQ(costs[1].multiply_adds, costs[0].multiply_adds);
  EXPECT_GT(costs[2].multiply_adds, costs[0].multiply_adds);
  EXPECT_GT(costs[1].moved_bytes, costs[0].moved_bytes);
}

// A last, smaller batch has a session of its own, which takes the states and the arena of the
// first: what it needs beside them are weights that are not trained.
TEST_F(Costs, CountTheLastBatch) {
  CALDERA_REQUIRE_DEVICE(device);
  TrainerOptions options = options_;
  options.spec.trainable = [](std::string_view name) { return !name.starts_with("stem.conv"); };
  const Graph forward = forward_of(net_, 32);
  const Graph last = forward_of(net_, 5);
  const auto alone = plan_steps(device, forward, weights_, options).value();
  const auto costs = plan_steps(device, forward, weights_, options, &last).value();
  const Trainer trainer = Trainer::create(device, forward, weights_, options).value();
  const uint64_t before = device.allocated_bytes();
  const Trainer part = trainer.with_batch(last, weights_).value();
  const SessionStats stats = part.session().stats();
  EXPECT_GT(stats.weights_bytes, 0u);
  EXPECT_EQ(costs[0].weights_bytes, alone[0].weights_bytes + stats.weights_bytes);
  EXPECT_EQ(costs[0].arena_bytes, alone[0].arena_bytes);
  EXPECT_EQ(costs[0].states_bytes, alone[0].states_bytes);
  // Buffers are rounded up to pages.
  EXPECT_LT(device.allocated_bytes() - before,
            stats.weights_bytes + stats.staging_bytes + 3 * uint64_t{65536});
  EXPECT_LT(device.allocated_bytes() - before, stats.states_bytes + stats.arena_bytes);
}

// On a device on which what is kept does not fit and what is kept by kCheap does.
TEST_F(Costs, AreToldWhereMemoryIsTooLittle) {
  CALDERA_REQUIRE_DEVICE(validated);
  Result<Device> opened = Device::open();
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Device device = std::move(opened).value();
  const auto costs = plan_steps(device, forward_of(net_, 32), weights_, options_).value();
  device.impl().limit_memory(costs[0].states_bytes + costs[0].weights_bytes +
                             (costs[0].arena_bytes + costs[1].arena_bytes) / 2);
  const auto limited = plan_steps(device, forward_of(net_, 32), weights_, options_).value();
  EXPECT_FALSE(limited[0].fits);
  EXPECT_TRUE(limited[1].fits);
  const auto none = Trainer::create(device, forward_of(net_, 32), weights_, options_);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(none.error().message, HasSubstr("with checkpointing 'cheap' this batch would fit"));
  const auto more = Trainer::create(device, forward_of(net_, 32 * 100), weights_, options_);
  ASSERT_FALSE(more.ok());
  EXPECT_THAT(more.error().message, Not(HasSubstr("checkpointing")));
}

TEST(CheckpointingNames, AreFoundAgain) {
  for (const std::string& name : checkpointing_names())
    EXPECT_EQ(checkpointing_name(find_checkpointing(name).value()), name);
  EXPECT_THAT(find_checkpointing("some").error().message, HasSubstr("none, cheap, blocks"));
}

}  // namespace
}  // namespace caldera
