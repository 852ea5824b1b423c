// The same seed on the same device gives the same bits, whatever is random in a step.
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "caldera/architecture.h"
#include "caldera/targets.h"
#include "caldera/trainer.h"

#include "tests/graph/random_operands.h"
#include "tests/graph/small_blocks.h"
#include "tests/graph/training_run.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

constexpr int kSteps = 5;

// Everything after some steps on random images, from a trainer of its own.
Weights train(const Device& device, const Graph& graph, uint64_t seed) {
  TrainerOptions options;
  options.spec.optimizer = {.momentum = 0.9f, .weight_decay = 1e-4f};
  options.seed = seed;
  auto trainer = Trainer::create(device, graph, initial_weights(graph, 1), options);
  if (!trainer.ok()) {
    ADD_FAILURE() << trainer.error().message;
    return {};
  }
  const Shape& input = graph.value(graph.inputs[0]).shape;
  const int64_t classes = graph.value(graph.outputs[0]).shape[1];
  std::vector<float> images(static_cast<size_t>(element_count(input)));
  std::vector<int32_t> labels(static_cast<size_t>(input[0]));
  for (int step = 0; step < kSteps; ++step) {
    for (size_t i = 0; i < images.size(); ++i) {
      images[i] = std::sin(static_cast<float>(i % 1009) * 0.7f + static_cast<float>(step));
    }
    for (size_t i = 0; i < labels.size(); ++i) {
      labels[i] = static_cast<int32_t>((7 * i + static_cast<size_t>(step)) % 10);
    }
    const Tensor targets = make_targets(labels, classes).value();
    const auto result = trainer->step(images, targets.floats(), 0.05f);
    EXPECT_TRUE(result.ok()) << result.error().message;
    EXPECT_TRUE(result.ok() && std::isfinite(result->loss) && !result->skipped);
  }
  return trainer->states().value();
}

// Names of the states whose bits differ.
std::vector<std::string> different(const Weights& a, const Weights& b) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : a) {
    const auto bytes = tensor.bytes();
    const auto other = b.find(name);
    const bool same = other != b.end() && other->second.bytes().size() == bytes.size() &&
                      std::memcmp(other->second.bytes().data(), bytes.data(), bytes.size()) == 0;
    if (!same) names.push_back(name);
  }
  return names;
}

Graph network(const char* name, int64_t batch, int32_t size) {
  return build_graph(find_architecture(name).value(), batch, {size, size}).value();
}

// A head as VGG's, which drops, on a small trunk.
Graph dropping_net() {
  GraphBuilder b;
  ValueId x = b.input("x", {8, 3, 12, 12});
  x = b.relu("relu1", b.batch_norm("bn1", b.conv2d("conv1", x, 24, {3, 3}, {.padding = {1, 1}})));
  x = b.max_pool2d("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{3, 3}}));
  x = b.dropout("dropout1", b.relu("relu2", b.linear("fc1", x, 64)), {0.5f});
  x = b.dropout("dropout2", b.relu("relu3", b.linear("fc2", x, 64)), {0.5f});
  b.output(b.linear("fc3", x, 10));
  return std::move(b).finish().value();
}

// Wherever its memory lies: on a device whose blocks are of no more than a mebibyte.
TEST(TrainingRepeats, AResNetInSmallBlocksToTheBit) {
  CALDERA_REQUIRE_DEVICE(device);
  constexpr uint64_t kMebibyte = uint64_t{1} << 20;
  const Graph forward = network("cifar_resnet20", 2, 32);
  TrainingSpec spec;
  spec.optimizer = {.momentum = 0.9f, .weight_decay = 1e-4f};
  const Graph graph = make_training_graph(forward, spec).value().graph;
  const Weights weights = initial_weights(forward, 1);
  std::vector<std::vector<float>> inputs = random_inputs(forward);
  inputs.push_back(one_hot_targets({2, 10}));
  inputs.push_back(step_scalars(1));
  const SessionStats stats =
      expect_same_bits_in_small_blocks(device, graph, weights, inputs, {}, kMebibyte);
  EXPECT_GT(stats.arena_blocks.size(), 3u);
  EXPECT_GT(stats.states_blocks.size(), 3u);
}

TEST(TrainingRepeats, AResNetToTheBit) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = network("cifar_resnet20", 8, 32);
  const Weights first = train(device, graph, 3);
  EXPECT_GT(first.size(), 150u);
  EXPECT_EQ(different(first, train(device, graph, 3)), std::vector<std::string>());
}

TEST(TrainingRepeats, DropoutToTheBitByItsSeed) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = dropping_net();
  const Weights first = train(device, graph, 3);
  EXPECT_EQ(different(first, train(device, graph, 3)), std::vector<std::string>());
  // Gradients are zero again after a step; all else hangs on what was dropped.
  EXPECT_GT(different(first, train(device, graph, 4)).size(), 10u);
}

}  // namespace
}  // namespace caldera::test
