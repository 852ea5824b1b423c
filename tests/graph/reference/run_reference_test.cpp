// The reference on whole graphs, by sums small enough to do by hand; and what it refuses.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/reference.h"

#include "tests/graph/reference/net.h"

namespace caldera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// y = relu(2x - 1 + x) on one channel of 2x2, by way of a 1x1 convolution.
Graph small_net() {
  GraphBuilder builder;
  const ValueId x = builder.input("x", {1, 1, 2, 2});
  const ValueId conv = builder.conv2d("conv", x, 1, {1, 1}, {.bias = true});
  builder.output(builder.relu("relu", builder.add("add", conv, x)));
  return std::move(builder).finish().value();
}

Weights small_weights() {
  return {{"conv.weight", Tensor::from_floats({1, 1, 1, 1}, {2})},
          {"conv.bias", Tensor::from_floats({1}, {-1})}};
}

TEST(RunReference, ComputesEveryActivation) {
  const Graph graph = small_net();
  const auto values = run_reference(graph, small_weights(), {{0, 1, 2, -3}});
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_THAT((*values)[graph.find("conv")], ElementsAre(-1, 1, 3, -7));
  EXPECT_THAT((*values)[graph.find("add")], ElementsAre(-1, 2, 5, -10));
  EXPECT_THAT((*values)[graph.outputs[0]], ElementsAre(0, 2, 5, 0));
  EXPECT_TRUE((*values)[graph.find("conv.weight")].empty());
}

TEST(RunReference, ComputesOneNodeFromGivenValues) {
  const Graph graph = small_net();
  ReferenceValues values;
  values.values.resize(graph.values.size());
  values.values[static_cast<uint32_t>(graph.inputs[0])] = {1, 1, 1, 1};
  values.values[static_cast<uint32_t>(graph.find("conv"))] = {10, 20, 30, 40};
  EXPECT_THAT(reference_node(graph, graph.nodes[1], {}, values), ElementsAre(11, 21, 31, 41));
}

TEST(RunReference, ConvertsWeightsOfOtherTypes) {
  const Graph graph = small_net();
  Weights weights = small_weights();
  // 2.0 in half precision.
  weights["conv.weight"] =
      Tensor::from_bytes(DType::kF16, {1, 1, 1, 1}, {std::byte{0x00}, std::byte{0x40}});
  const auto values = run_reference(graph, weights, {{0, 1, 2, -3}});
  ASSERT_TRUE(values.ok()) << values.error().message;
  EXPECT_THAT((*values)[graph.outputs[0]], ElementsAre(0, 2, 5, 0));
}

TEST(RunReference, RefusesMissingWeightsByName) {
  Weights weights = small_weights();
  weights.erase("conv.bias");
  const auto values = run_reference(small_net(), weights, {{0, 1, 2, 3}});
  ASSERT_FALSE(values.ok());
  EXPECT_THAT(values.error().message, HasSubstr("'conv.bias'"));
}

TEST(RunReference, RefusesMisshapenWeights) {
  Weights weights = small_weights();
  weights["conv.bias"] = Tensor::from_floats({2}, {1, 2});
  const auto values = run_reference(small_net(), weights, {{0, 1, 2, 3}});
  ASSERT_FALSE(values.ok());
  EXPECT_THAT(values.error().message, HasSubstr("'conv.bias' are [2], but the graph needs [1]"));
}

TEST(RunReference, RefusesInputsOfAnotherCountOrSize) {
  EXPECT_FALSE(run_reference(small_net(), small_weights(), {}).ok());
  EXPECT_FALSE(run_reference(small_net(), small_weights(), {{0, 1, 2}}).ok());
}

// Two nodes add to the gradient of a bias, once with the first and once with the second input.
struct TwoGradients {
  test::Net net;
  ValueId a = net.input({1, 2});
  ValueId b = net.input({1, 2});
  ValueId gradient = net.zeros({2});

  TwoGradients() {
    net.node(BiasGradientAttrs{}, {a}, {gradient});
    net.node(BiasGradientAttrs{}, {b}, {gradient});
  }
};

TEST(RunReference, LetsNodesUpdateOneValueInTurn) {
  const TwoGradients two;
  EXPECT_THAT(two.net.run({{1, 2}, {10, 20}})[two.gradient], ElementsAre(11, 22));
}

TEST(RunReference, StartsUpdatesFromTheWeightsWhereTheyHoldThem) {
  TwoGradients two;
  two.net.weights[two.net.graph.value(two.gradient).name] = Tensor::from_floats({2}, {100, 200});
  EXPECT_THAT(two.net.run({{1, 2}, {10, 20}})[two.gradient], ElementsAre(111, 222));
}

TEST(RunReference, RefusesMissingWeightsThatDoNotStartAtZero) {
  TwoGradients two;
  two.net.graph.value(two.gradient).starts_at_zero = false;
  EXPECT_FALSE(run_reference(two.net.graph, {}, {{1, 2}, {10, 20}}).ok());
}

TEST(RunReference, LetsLaterNodesReadWhatEarlierOnesUpdated) {
  TwoGradients two;
  const ValueId scalars = two.net.input({1, kScalarCount});
  const ValueId before = two.net.node(GradientNormsAttrs{}, {two.gradient, scalars});
  two.net.node(BiasGradientAttrs{}, {two.a}, {two.gradient});
  const ValueId after = two.net.node(GradientNormsAttrs{}, {two.gradient, scalars});
  const ReferenceValues values = two.net.run({{1, 2}, {0, 0}, {0, 0, 1, 0, 0, 0, 0, 0}});
  EXPECT_THAT(values[before], ElementsAre(5, 5));
  EXPECT_THAT(values[after], ElementsAre(20, 20));
}

TEST(RunReference, ReadsZerosThatNoNodeUpdates) {
  test::Net net;
  const ValueId scalars = net.input({1, kScalarCount});
  const ValueId norms = net.node(GradientNormsAttrs{}, {net.zeros({3}), scalars});
  EXPECT_THAT(net.run({{0, 0, 1, 0, 0, 0, 0, 0}})[norms], ElementsAre(0, 0));
}

TEST(ReferenceNode, LeavesWhatItUpdatesAsItWas) {
  const TwoGradients two;
  ReferenceValues values;
  values.values.resize(two.net.graph.values.size());
  values.values[static_cast<uint32_t>(two.a)] = {1, 2};
  EXPECT_TRUE(reference_node(two.net.graph, two.net.graph.nodes[0], {}, values).empty());
  EXPECT_TRUE(values[two.gradient].empty());
}

TEST(RelativeL2, IsTheNormOfTheDifferenceOverTheSecondsNorm) {
  EXPECT_DOUBLE_EQ(relative_l2({3, 4}, {0, 5}), std::sqrt(10.0) / 5);
  EXPECT_EQ(relative_l2({1, 2}, {1, 2}), 0);
  EXPECT_EQ(relative_l2({0, 0}, {0, 0}), 0);
  EXPECT_EQ(relative_l2({1, 0}, {0, 0}), kInfinity);
}

TEST(RelativeL2, IsInfiniteWhereOnlyOneHoldsANan) {
  EXPECT_EQ(relative_l2({kNan, 1}, {0, 1}), kInfinity);
  EXPECT_EQ(relative_l2({0, 1}, {kNan, 1}), kInfinity);
  EXPECT_EQ(relative_l2({kNan, 1}, {kNan, 1}), 0);
}

TEST(RelativeL2, TellsInfinitiesApart) {
  EXPECT_EQ(relative_l2({kInfinity, 1}, {kInfinity, 1}), 0);
  EXPECT_EQ(relative_l2({kInfinity, 1}, {-kInfinity, 1}), kInfinity);
  EXPECT_EQ(relative_l2({1, 1}, {kInfinity, 1}), kInfinity);
}

}  // namespace
}  // namespace caldera
