// Graphs are plain data: what is not sound is refused before anything relies on it.
#include "graph/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/graph/random_operands.h"
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
  graph.value(graph.nodes[0].output).shape[1] += 4;
  expect_refused("makes [2, 8, 13, 11]");
}

TEST_F(Validation, RefusesInputsOfNoExtent) {
  graph.value(graph.inputs[0]).shape[0] = 0;
  expect_refused("neither");
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

}  // namespace
}  // namespace caldera
