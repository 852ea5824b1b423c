// What GraphBuilder makes, and what it refuses: each refusal names the node and says what did not
// fit. (That inferred shapes are PyTorch's is reference_test's affair.)
#include <functional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/graph.h"

namespace caldera {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(GraphBuilder, NamesParametersAsPyTorchDoes) {
  GraphBuilder builder;
  ValueId x = builder.input("x", {2, 3, 8, 8});
  x = builder.conv2d("layer1.0.conv1", x, 6, {3, 3}, {.groups = 3, .bias = true});
  x = builder.batch_norm("layer1.0.bn1", x);
  x = builder.flatten("flatten", x);
  builder.output(builder.linear("fc", x, 10));
  const Graph graph = std::move(builder).finish().value();

  const auto check = [&](const char* name, const Shape& shape, ValueRole role, bool trainable) {
    const ValueId id = graph.find(name);
    ASSERT_NE(id, ValueId::kNone) << name;
    EXPECT_EQ(graph.value(id).shape, shape) << name;
    EXPECT_EQ(graph.value(id).role, role) << name;
    EXPECT_EQ(graph.value(id).trainable, trainable) << name;
  };
  check("layer1.0.conv1.weight", {6, 1, 3, 3}, ValueRole::kParameter, true);
  check("layer1.0.conv1.bias", {6}, ValueRole::kParameter, true);
  check("layer1.0.bn1.weight", {6}, ValueRole::kParameter, true);
  check("layer1.0.bn1.running_mean", {6}, ValueRole::kState, false);
  check("layer1.0.bn1.running_var", {6}, ValueRole::kState, false);
  check("fc.weight", {10, 216}, ValueRole::kParameter, true);
  check("fc.bias", {10}, ValueRole::kParameter, true);
  EXPECT_EQ(parameter_count(graph), 6 * 9 + 6 + 6 + 6 + 2160 + 10);
  EXPECT_EQ(multiply_adds(graph), 2 * 6 * 36 * 9 + 2 * 2160);
}

TEST(GraphBuilder, KeepsNodesInTheOrderTheyWereMade) {
  GraphBuilder builder;
  const ValueId x = builder.input("x", {1, 4, 5, 5});
  const ValueId a = builder.relu("a", x);
  const ValueId b = builder.relu("b", x);
  builder.output(builder.add("sum", a, b));
  builder.output(a);
  const Graph graph = std::move(builder).finish().value();
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[2].name, "sum");
  EXPECT_THAT(graph.nodes[2].inputs, ElementsAre(a, b));
  EXPECT_THAT(graph.inputs, ElementsAre(x));
  EXPECT_THAT(graph.outputs, ElementsAre(graph.nodes[2].output(), a));
  EXPECT_EQ(graph.node(graph.value(b).producer).name, "b");
}

// The message by which a graph of `build` is refused; empty where it is not.
std::string refusal(const std::function<ValueId(GraphBuilder&)>& build) {
  GraphBuilder builder;
  builder.output(build(builder));
  const auto graph = std::move(builder).finish();
  return graph.ok() ? "" : graph.error().message;
}

const Shape kImage{2, 6, 7, 9};

TEST(GraphBuilderRefuses, AConvolutionLargerThanThePaddedImage) {
  const auto message = refusal([](GraphBuilder& b) {
    return b.conv2d("layer4.conv", b.input("x", {1, 3, 2, 9}), 4, {5, 5}, {.padding = {1, 1}});
  });
  EXPECT_THAT(message, AllOf(HasSubstr("layer4.conv"), HasSubstr("conv2d"), HasSubstr("2")));
}

TEST(GraphBuilderRefuses, GroupsThatDoNotDivideChannels) {
  for (const int32_t groups : {0, -1, 4, 7}) {
    EXPECT_THAT(refusal([&](GraphBuilder& b) {
                  return b.conv2d("conv", b.input("x", kImage), 8, {1, 1}, {.groups = groups});
                }),
                AllOf(HasSubstr("conv"), HasSubstr("group")))
        << groups;
  }
  EXPECT_THAT(refusal([](GraphBuilder& b) {  // They divide the input's, not the output's.
                return b.conv2d("conv", b.input("x", kImage), 8, {1, 1}, {.groups = 3});
              }),
              HasSubstr("group"));
}

TEST(GraphBuilderRefuses, AttributesOutOfRange) {
  const auto conv = [](Conv2dAttrs attrs, Size2d kernel) {
    return refusal(
        [&](GraphBuilder& b) { return b.conv2d("conv", b.input("x", kImage), 6, kernel, attrs); });
  };
  EXPECT_EQ(conv({}, {3, 3}), "");
  EXPECT_NE(conv({.stride = {0, 1}}, {3, 3}), "");
  EXPECT_NE(conv({.stride = {1, -1}}, {3, 3}), "");
  EXPECT_NE(conv({.padding = {-1, 0}}, {3, 3}), "");
  EXPECT_NE(conv({.dilation = {1, 0}}, {3, 3}), "");
  EXPECT_NE(conv({}, {0, 3}), "");
  EXPECT_NE(refusal([](GraphBuilder& b) {
              return b.conv2d("conv", b.input("x", kImage), 0, {1, 1});
            }),
            "");
  EXPECT_NE(refusal([](GraphBuilder& b) {
              return b.subsample("a", b.input("x", kImage), {{0, 2}});
            }),
            "");
  EXPECT_NE(refusal([](GraphBuilder& b) {
              return b.adaptive_avg_pool2d("a", b.input("x", kImage), {{0, 1}});
            }),
            "");
}

TEST(GraphBuilderRefuses, PadsThatLeaveNothing) {
  const auto pad = [](PadAttrs attrs) {
    return refusal([&](GraphBuilder& b) { return b.pad("pad", b.input("x", kImage), attrs); });
  };
  EXPECT_EQ(pad({.channels_before = -2, .top = -6, .bottom = 1, .left = -8}), "");
  EXPECT_THAT(pad({.left = -4, .right = -5}), HasSubstr("cuts [2, 6, 7, 9] down to [2, 6, 7, 0]"));
  EXPECT_NE(pad({.top = -8}), "");
  EXPECT_NE(pad({.channels_before = -4, .channels_after = -4}), "");
}

TEST(GraphBuilderRefuses, PoolsThatPadMoreThanHalfTheirKernel) {
  EXPECT_THAT(
      refusal([](GraphBuilder& b) {
        return b.max_pool2d("maxpool", b.input("x", kImage), {.kernel = {2, 2}, .padding = {2, 2}});
      }),
      AllOf(HasSubstr("maxpool"), HasSubstr("half")));
}

TEST(GraphBuilderRefuses, OperandsOfUnlikeShapes) {
  const auto with = [](const Shape& other, auto make) {
    return refusal([&](GraphBuilder& b) {
      const ValueId x = b.input("x", kImage);
      return make(b, x, b.input("y", other));
    });
  };
  const auto add = [](GraphBuilder& b, ValueId x, ValueId y) { return b.add("sum", x, y); };
  const auto multiply = [](GraphBuilder& b, ValueId x, ValueId y) {
    return b.multiply("gate", x, y);
  };
  const auto concat = [](GraphBuilder& b, ValueId x, ValueId y) { return b.concat("cat", {x, y}); };
  EXPECT_EQ(with({2, 6, 1, 1}, multiply), "");
  EXPECT_EQ(with({2, 3, 7, 9}, concat), "");
  EXPECT_THAT(with({2, 6, 7, 8}, add),
              AllOf(HasSubstr("sum"), HasSubstr("[2, 6, 7, 9]"), HasSubstr("[2, 6, 7, 8]")));
  EXPECT_THAT(with({1, 6, 1, 1}, multiply), HasSubstr("gate"));
  EXPECT_THAT(with({2, 6, 9, 7}, concat), HasSubstr("cat"));
  EXPECT_THAT(with({3, 6, 7, 9}, concat), HasSubstr("cat"));
}

TEST(GraphBuilderRefuses, ImagesWhereFeaturesAreNeededAndTheReverse) {
  EXPECT_THAT(refusal([](GraphBuilder& b) { return b.linear("fc", b.input("x", kImage), 10); }),
              AllOf(HasSubstr("fc"), HasSubstr("flatten")));
  EXPECT_THAT(refusal([](GraphBuilder& b) {
                return b.conv2d("conv", b.input("x", {2, 6}), 4, {1, 1});
              }),
              HasSubstr("conv"));
}

TEST(GraphBuilderRefuses, ShapesNoDeviceCouldHold) {
  EXPECT_NE(refusal([](GraphBuilder& b) { return b.input("x", {1, 0, 4, 4}); }), "");
  EXPECT_NE(refusal([](GraphBuilder& b) { return b.input("x", {1, -3, 4, 4}); }), "");
  EXPECT_NE(refusal([](GraphBuilder& b) {
              return b.input("x", {int64_t{1} << 40, int64_t{1} << 40, 4, 4});
            }),
            "");
  EXPECT_NE(refusal([](GraphBuilder& b) { return b.input("x", {3, 4, 5}); }), "");
  EXPECT_NE(
      refusal([](GraphBuilder& b) {
        return b.pad("pad", b.input("x", {1, 1, 1 << 20, 1 << 20}), {.channels_after = 2147483647});
      }),
      "");
}

TEST(GraphBuilderRefuses, AGraphWithoutOutput) {
  GraphBuilder builder;
  builder.input("x", kImage);
  const auto graph = std::move(builder).finish();
  ASSERT_FALSE(graph.ok());
  EXPECT_THAT(graph.error().message, HasSubstr("output"));
}

TEST(GraphBuilderRefuses, AtTheFirstFailureAndKeepsItsMessage) {
  const auto message = refusal([](GraphBuilder& b) {
    const ValueId x = b.input("x", kImage);
    const ValueId bad = b.conv2d("first", x, 8, {1, 1}, {.groups = 4});
    EXPECT_EQ(bad, ValueId::kNone);
    EXPECT_EQ(b.relu("second", bad), ValueId::kNone);
    return b.linear("third", x, 3);
  });
  EXPECT_THAT(message, HasSubstr("first"));
  EXPECT_THAT(message, testing::Not(HasSubstr("third")));
}

TEST(InferShapes, RefusesAResidualOfAnotherShape) {
  const Conv2dAttrs attrs{.epilogue = {.residual = true}};
  EXPECT_TRUE(infer_shapes(attrs, {{1, 3, 4, 4}, {5, 3, 1, 1}, {1, 5, 4, 4}}).ok());
  const auto shape = infer_shapes(attrs, {{1, 3, 4, 4}, {5, 3, 1, 1}, {1, 5, 4, 3}});
  ASSERT_FALSE(shape.ok());
  EXPECT_THAT(shape.error().message, HasSubstr("residual"));
}

TEST(InferShapes, GivesAShapeForEachOutput) {
  MaxPool2dAttrs pool{.kernel = {2, 2}, .stride = {2, 2}};
  EXPECT_THAT(infer_shapes(pool, {{1, 3, 4, 6}}).value(), ElementsAre(Shape{1, 3, 2, 3}));
  pool.places = true;
  EXPECT_THAT(infer_shapes(pool, {{1, 3, 4, 6}}).value(),
              ElementsAre(Shape{1, 3, 2, 3}, Shape{1, 3, 2, 3}));
  EXPECT_THAT(infer_shapes(BiasGradientAttrs{}, {{1, 3, 4, 6}}).value(), testing::IsEmpty());
}

TEST(InferShapes, RefusesAnotherNumberOfInputs) {
  EXPECT_FALSE(infer_shapes(ActivationAttrs{}, {}).ok());
  EXPECT_FALSE(infer_shapes(AddAttrs{}, {{1, 2, 3, 4}}).ok());
  EXPECT_FALSE(infer_shapes(ConcatAttrs{}, {}).ok());
  EXPECT_FALSE(infer_shapes(Conv2dAttrs{.bias = true}, {{1, 3, 4, 4}, {5, 3, 1, 1}}).ok());
  EXPECT_FALSE(infer_shapes(BatchNormAttrs{}, {{1, 3, 4, 4}, {3}, {3}, {3}}).ok());
}

TEST(GraphBuilder, RefusesValuesThatAreNotItsOwn) {
  for (const ValueId stranger : {ValueId::kNone, static_cast<ValueId>(77)}) {
    GraphBuilder output;
    output.input("x", {1, 3, 4, 4});
    output.output(stranger);
    EXPECT_FALSE(std::move(output).finish().ok());
    GraphBuilder add;
    add.output(add.add("sum", add.input("x", {1, 3, 4, 4}), stranger));
    EXPECT_FALSE(std::move(add).finish().ok());
  }
}

}  // namespace
}  // namespace caldera
