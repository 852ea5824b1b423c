// Initial weights: He et al.'s deviations, and the same bits for the same seed on every machine.
#include <bit>
#include <cmath>

#include <gtest/gtest.h>

#include "caldera/architecture.h"
#include "caldera/reference.h"

namespace caldera {
namespace {

Graph graph_of(std::string_view name) {
  return build_graph(find_architecture(name).value(), 1).value();
}

struct Moments {
  double mean = 0, deviation = 0, kurtosis = 0;
};

Moments moments(std::span<const float> values) {
  const auto count = static_cast<double>(values.size());
  Moments m;
  for (const float v : values) m.mean += v / count;
  double second = 0, fourth = 0;
  for (const float v : values) {
    const double square = (v - m.mean) * (v - m.mean);
    second += square / count;
    fourth += square * square / count;
  }
  m.deviation = std::sqrt(second);
  m.kurtosis = fourth / (second * second);
  return m;
}

TEST(InitialWeights, AreHeNormal) {
  const Weights weights = initial_weights(graph_of("resnet18"), 1);
  const std::pair<const char*, double> deviations[] = {
      {"conv1.weight", std::sqrt(2.0 / (64 * 49))},  // Fan-out.
      {"layer2.0.downsample.0.weight", std::sqrt(2.0 / 128)},
      {"layer4.1.conv2.weight", std::sqrt(2.0 / (512 * 9))},
      {"fc.weight", std::sqrt(2.0 / 512)},  // Fan-in.
  };
  for (const auto& [name, expected] : deviations) {
    const auto values = weights.at(name).floats();
    const Moments m = moments(values);
    // Four standard errors.
    const double error = 4 / std::sqrt(static_cast<double>(values.size()));
    EXPECT_NEAR(m.mean / expected, 0, error) << name;
    EXPECT_NEAR(m.deviation / expected, 1, error) << name;
    EXPECT_NEAR(m.kurtosis, 3, 0.12 + 10 * error) << name;
  }
}

TEST(InitialWeights, LeaveBatchNormAndBiasNeutral) {
  const Graph graph = graph_of("vgg11_bn:classes=4");
  const Weights weights = initial_weights(graph, 1);
  const std::pair<const char*, float> fills[] = {
      {"features.1.weight", 1.0f},       {"features.1.bias", 0.0f},
      {"features.1.running_mean", 0.0f}, {"features.1.running_var", 1.0f},
      {"features.0.bias", 0.0f},         {"classifier.6.bias", 0.0f}};
  for (const auto& [name, value] : fills) {
    for (const float v : weights.at(name).floats()) ASSERT_EQ(v, value) << name;
  }
  for (const Value& value : graph.values) {
    if (value.role != ValueRole::kParameter && value.role != ValueRole::kState) continue;
    ASSERT_TRUE(weights.contains(value.name)) << value.name;
    EXPECT_EQ(weights.at(value.name).shape(), value.shape);
  }
}

TEST(InitialWeights, RepeatBySeedAndName) {
  const Weights first = initial_weights(graph_of("cifar_resnet20"), 7);
  const Weights again = initial_weights(graph_of("cifar_resnet20"), 7);
  const Weights other = initial_weights(graph_of("cifar_resnet20"), 8);
  // A tensor's values hang on its name, not on the net around it.
  const Weights deeper = initial_weights(graph_of("cifar_resnet56"), 7);
  const auto bits = [](const Weights& weights, const char* name) {
    const auto bytes = weights.at(name).bytes();
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  EXPECT_EQ(bits(first, "layer3.2.conv1.weight"), bits(again, "layer3.2.conv1.weight"));
  EXPECT_EQ(bits(first, "layer3.2.conv1.weight"), bits(deeper, "layer3.2.conv1.weight"));
  EXPECT_NE(bits(first, "layer3.2.conv1.weight"), bits(other, "layer3.2.conv1.weight"));
  EXPECT_NE(bits(first, "layer3.2.conv1.weight"), bits(first, "layer3.2.conv2.weight"));
}

// Worked out apart, in integers: SplitMix64 by its published constants.
TEST(InitialWeights, AreTheseBitsEverywhere) {
  const Weights weights = initial_weights(graph_of("cifar_resnet20"), 0);
  const auto values = weights.at("conv1.weight").floats();
  EXPECT_EQ(std::bit_cast<uint32_t>(values[0]), 0x3d954755u);
  EXPECT_EQ(std::bit_cast<uint32_t>(values[431]), 0x3e1b9a03u);
}

// With statistics of 0 and 1 a residual net doubles its variance at every block, until it
// overflows.
TEST(CalibrateBatchNorm, KeepsTheDeepestNetsAtTheirScale) {
  for (const char* name : {"cifar_resnet1202", "cifar_preact_resnet1001", "cifar_plain1202"}) {
    const Graph graph = build_graph(find_architecture(name).value(), 2, Size2d{5, 7}).value();
    const Weights weights = calibrate_batch_norm(graph, initial_weights(graph, 1), 1);
    std::vector<float> input(2 * 3 * 5 * 7);
    for (size_t i = 0; i < input.size(); ++i) input[i] = std::sin(static_cast<float>(i * i));
    const auto values = run_reference(graph, weights, {input});
    ASSERT_TRUE(values.ok()) << values.error().message;
    const Moments logits = moments((*values)[graph.outputs[0]]);
    EXPECT_GT(logits.deviation, 0.01) << name;
    EXPECT_LT(logits.deviation, 100) << name;
  }
}

}  // namespace
}  // namespace caldera
