// Graphs are plain data: what is not sound is refused before anything relies on it.
#include "graph/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/graph/random_operands.h"
#include "tests/graph/reference/net.h"
#include "tests/graph/small_net.h"

namespace caldera {
namespace {

using testing::HasSubstr;

class Validation : public testing::Test {
 protected:
  Graph graph = test::small_net(2);
  Weights weights = test::random_weights(graph);

  void expect_refused(const char* why) const {
    const Status status = validate(graph, weights);
    ASSERT_FALSE(status.ok()) << why;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(status.error().message, HasSubstr(why));
  }
};

TEST_F(Validation, TakesWhatTheBuilderMakes) {
  const Status status = validate(graph, weights);
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST_F(Validation, RefusesIdsOutOfRange) {
  graph.nodes[1].inputs[0] = static_cast<ValueId>(9999);
  expect_refused("reads a value that is not made before it");
}

TEST_F(Validation, RefusesNodesOutOfOrder) {
  std::swap(graph.nodes[0], graph.nodes[1]);
  expect_refused("reads a value that is not made before it");
}

TEST_F(Validation, RefusesTwoNodesThatMakeOneValue) {
  graph.nodes.push_back(graph.nodes.back());
  expect_refused("does not make a new activation");
}

TEST_F(Validation, RefusesShapesThatAreNotInferred) {
  graph.value(graph.nodes[0].output()).shape[1] += 4;
  expect_refused("makes [2, 8, 13, 11]");
}

TEST_F(Validation, RefusesInputsOfNoExtent) {
  graph.value(graph.inputs[0]).shape[0] = 0;
  expect_refused("neither");
}

// Kernels read them as floats.
TEST_F(Validation, RefusesWholeNumbersWhereFloatsBelong) {
  for (const Storage whole : {Storage::kU16, Storage::kU8}) {
    graph.value(graph.nodes[0].output()).storage = whole;
    expect_refused("can only be floats");
  }
  graph.value(graph.nodes[0].output()).storage.reset();
  graph.value(graph.inputs[0]).storage = Storage::kU8;
  expect_refused("can only be floats");
}

TEST_F(Validation, WantsPlacesOfAPoolAsTheyAre) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 8, 8});
  b.output(b.max_pool2d("pool", x, {.kernel = {2, 2}, .stride = {2, 2}, .places = true}));
  graph = std::move(b).finish().value();
  weights.clear();
  EXPECT_TRUE(validate(graph, weights).ok());
  graph.value(graph.nodes[0].outputs[1]).storage.reset();
  expect_refused("can only be u16");
}

TEST_F(Validation, RefusesOutputsThatNoNodeMakes) {
  graph.outputs[0] = ValueId::kNone;
  expect_refused("an output is not an activation");
  graph.outputs[0] = graph.find("stem.conv.weight");
  expect_refused("an output is not an activation");
}

TEST_F(Validation, RefusesGraphsWithoutInputs) {
  graph.inputs.clear();
  expect_refused("lacks inputs");
}

TEST_F(Validation, WantsConstantsToo) {
  graph.values.push_back({"scale", ValueRole::kConstant, {3}});
  expect_refused("scale is missing");
}

// One parameter with its gradient, trained on the sum of its image's channels.
class ValidationOfUpdates : public testing::Test {
 protected:
  test::Net net;
  ValueId x = net.input({2, 4, 5, 5});
  ValueId dy = net.input({2, 6, 3, 3});
  ValueId scalars = net.input({1, kScalarCount});
  ValueId weight = net.parameter({6, 2, 3, 3}, std::vector<float>(108));
  ValueId gradient = net.zeros({6, 2, 3, 3});
  ValueId velocity = net.zeros({6, 2, 3, 3});
  ValueId norms = ValueId::kNone;

  ValidationOfUpdates() {
    net.graph.outputs.push_back(net.node(Conv2dAttrs{.groups = 2}, {x, weight}));
    net.node(Conv2dWeightGradientAttrs{.groups = 2}, {x, dy}, {gradient});
    norms = net.node(GradientNormsAttrs{}, {gradient, scalars});
    net.node(OptimizerAttrs{.momentum = 0.9f}, {norms, scalars}, {weight, gradient, velocity});
  }

  Node& weight_gradient() { return net.graph.nodes[1]; }
  Node& optimizer() { return net.graph.nodes[3]; }
  void expect_refused(const char* why) const {
    const Status status = validate(net.graph, net.weights);
    ASSERT_FALSE(status.ok()) << why;
    EXPECT_THAT(status.error().message, HasSubstr(why));
  }
  void expect_taken() const {
    const Status status = validate(net.graph, net.weights);
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
};

TEST_F(ValidationOfUpdates, TakesAStepOfTraining) {
  expect_taken();
}

TEST_F(ValidationOfUpdates, WantsWeightsForAllThatDoesNotStartAtZero) {
  net.graph.value(velocity).starts_at_zero = false;
  expect_refused("is missing");
}

TEST_F(ValidationOfUpdates, WantsZerosOfTheRightShapeWhereTheWeightsHoldThem) {
  net.weights[net.graph.value(velocity).name] = Tensor::from_floats({1}, {1});
  expect_refused("is f32 [1] where");
}

TEST_F(ValidationOfUpdates, RefusesOutputsOfNodesThatOnlyUpdate) {
  weight_gradient().outputs = {static_cast<ValueId>(net.graph.values.size())};
  net.graph.values.push_back({"output", ValueRole::kActivation, {}});
  expect_refused("has 1 outputs, but its operator makes 0");
}

TEST_F(ValidationOfUpdates, RefusesNodesWithoutTheirOutput) {
  net.graph.nodes[0].outputs.clear();
  expect_refused("has 0 outputs, but its operator makes 1");
}

TEST_F(ValidationOfUpdates, RefusesUpdatesOfWhatIsNoParameterOrState) {
  for (const ValueId other : {x, norms, ValueId::kNone, static_cast<ValueId>(9999)}) {
    weight_gradient().updates = {other};
    expect_refused("updates what is neither a parameter nor a state");
  }
}

TEST_F(ValidationOfUpdates, RefusesUpdatesThatAreNamedTwice) {
  optimizer().updates = {weight, gradient, gradient};
  expect_refused("twice");
}

TEST_F(ValidationOfUpdates, RefusesUpdatesByOperatorsThatHaveNone) {
  net.graph.nodes[0].updates = {gradient};
  expect_refused("updates 1 values where 0 are needed");
}

TEST_F(ValidationOfUpdates, RefusesGradientsOfAnotherShape) {
  weight_gradient().updates = {net.zeros({6, 2, 2, 2})};
  expect_refused("by which [2, 4, 5, 5] would make [2, 6, 4, 4]");
  weight_gradient().updates = {net.zeros({3, 2, 3, 3})};
  expect_refused("node1");
  weight_gradient().updates = {};
  expect_refused("updates 0 values where 1 are needed");
}

TEST_F(ValidationOfUpdates, WantsWholeGroupsOfOptimizers) {
  optimizer().updates.pop_back();
  expect_refused("updates 2 values, which is no whole number of 3 a parameter");
  optimizer().updates.clear();
  expect_refused("no whole number");
  optimizer().updates = {weight, gradient, net.zeros({6})};
  expect_refused("updates a value [6] where [6, 2, 3, 3] is needed");
}

TEST_F(ValidationOfUpdates, WantsANormForEveryGradientOfAnOptimizer) {
  optimizer().inputs[0] = net.input({1, 1});
  expect_refused("needs norms");
}

TEST_F(ValidationOfUpdates, KnowsHowManyValuesAnOptimizerKeeps) {
  EXPECT_EQ(optimizer_slots({.kind = OptimizerKind::kSgd}), 2);
  EXPECT_EQ(optimizer_slots({.kind = OptimizerKind::kSgd, .momentum = 0.9f}), 3);
  EXPECT_EQ(optimizer_slots({.kind = OptimizerKind::kSgd, .ema_decay = 0.5f}), 3);
  EXPECT_EQ(optimizer_slots({.kind = OptimizerKind::kAdam}), 4);
  EXPECT_EQ(optimizer_slots({.kind = OptimizerKind::kAdamW, .ema_decay = 0.5f}), 5);
}

TEST_F(ValidationOfUpdates, TakesTransposedParametersAsWeights) {
  const ValueId transposed = net.node(TransposeWeightAttrs{.groups = 2}, {weight});
  net.node(Conv2dAttrs{.padding = {2, 2}, .groups = 2}, {dy, transposed});
  expect_taken();
}

TEST_F(ValidationOfUpdates, RefusesOtherActivationsAsWeights) {
  net.node(Conv2dAttrs{}, {x, net.input({3, 4, 1, 1})});
  expect_refused("has a weight that is neither a parameter nor one transposed");
}

TEST(ShapesOfPhases, NeedEveryPixelOnce) {
  const Shape x{2, 5, 3, 3};
  const auto shape_of = [&](std::vector<InterleaveAttrs::Phase> phases) {
    const std::vector<Shape> inputs(phases.size(), x);
    return infer_shapes(InterleaveAttrs{{2, 2}, {5, 6}, std::move(phases)}, inputs);
  };
  const auto whole = shape_of({{{0, 0}}, {{0, 1}}, {{1, 0}}, {{1, 1}, {1, 0}}});
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->at(0), (Shape{2, 5, 5, 6}));
  EXPECT_FALSE(shape_of({{{0, 0}}, {{0, 1}}, {{1, 0}}}).ok());
  EXPECT_FALSE(shape_of({{{0, 0}}, {{0, 0}}, {{1, 0}}, {{1, 1}}}).ok());  // One of them twice.
  EXPECT_FALSE(shape_of({{{0, 0}, {1, 0}}, {{0, 1}}, {{1, 0}}, {{1, 1}}}).ok());  // Past its end.
}

TEST(ShapesOfPhases, AreOfTheirTaps) {
  const auto shape_of = [](Size2d first, Size2d stride) {
    return infer_shapes(TransposeWeightAttrs{1, first, stride}, {{6, 4, 5, 3}});
  };
  EXPECT_EQ(shape_of({0, 0}, {2, 2}).value().at(0), (Shape{4, 6, 3, 2}));
  EXPECT_EQ(shape_of({1, 1}, {2, 2}).value().at(0), (Shape{4, 6, 2, 1}));
  EXPECT_FALSE(shape_of({5, 0}, {2, 2}).ok());
  EXPECT_FALSE(shape_of({0, 0}, {0, 1}).ok());
}

TEST_F(ValidationOfUpdates, RefusesToTransposeActivations) {
  net.node(TransposeWeightAttrs{}, {x});
  expect_refused("transposes what is not a parameter");
}

}  // namespace
}  // namespace caldera
