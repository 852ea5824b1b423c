// The reference on whole graphs, by sums small enough to do by hand; and what it refuses.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/reference.h"

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
