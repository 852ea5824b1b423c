// Folding and fusion: fewer nodes, the same function.
#include "graph/passes/passes.h"

#include <gmock/gmock.h>

#include "caldera/autodiff.h"
#include "caldera/reference.h"

#include "tests/graph/random_operands.h"
#include "tests/graph/small_net.h"

namespace caldera {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct Fused {
  Graph graph;
  Weights weights;
};

Fused fuse(const Graph& graph, const Weights& weights) {
  Fused fused{graph, weights};
  ChannelScales scales;
  fold_batch_norm(fused.graph, fused.weights, scales);
  fused.weights = apply_scales(fused.weights, scales);
  fuse_epilogues(fused.graph);
  return fused;
}

// The passes leave what the graph computes as it was; returns the fused graph.
Graph expect_same_function(const Graph& graph) {
  const Weights weights = test::random_weights(graph);
  const auto inputs = test::random_inputs(graph);
  const Fused fused = fuse(graph, weights);
  const auto before = run_reference(graph, weights, inputs);
  const auto after = run_reference(fused.graph, fused.weights, inputs);
  EXPECT_TRUE(before.ok() && after.ok());
  for (const ValueId output : graph.outputs) {
    EXPECT_LT(relative_l2((*after)[output], (*before)[output]), 1e-6);
  }
  return fused.graph;
}

std::vector<OpKind> kinds(const Graph& graph) {
  std::vector<OpKind> list;
  for (const Node& node : graph.nodes) list.push_back(node.kind());
  return list;
}

const Epilogue& conv_epilogue(const Node& node) {
  return std::get<Conv2dAttrs>(node.attrs).epilogue;
}

class Passes : public testing::Test {
 protected:
  GraphBuilder b;
  ValueId x = b.input("x", {2, 5, 6, 7});

  ValueId conv(const char* name, ValueId from, Conv2dAttrs attrs = {.padding = {1, 1}}) {
    return b.conv2d(name, from, 5, {3, 3}, attrs);
  }
};

TEST_F(Passes, ABasicBlockBecomesTwoConvolutions) {
  const ValueId y = b.relu("relu1", b.batch_norm("bn1", conv("conv1", x)));
  const ValueId z = b.batch_norm("bn2", conv("conv2", y));
  b.output(b.relu("relu2", b.add("add", z, x)));
  const Graph fused = expect_same_function(std::move(b).finish().value());
  ASSERT_EQ(kinds(fused), (std::vector{OpKind::kConv2d, OpKind::kConv2d}));
  EXPECT_FALSE(conv_epilogue(fused.nodes[0]).residual);
  EXPECT_EQ(conv_epilogue(fused.nodes[0]).activation, Activation::kRelu);
  EXPECT_TRUE(conv_epilogue(fused.nodes[1]).residual);
  EXPECT_EQ(conv_epilogue(fused.nodes[1]).activation, Activation::kRelu);
}

TEST_F(Passes, AProjectedShortcutRunsBeforeTheConvolutionThatAddsIt) {
  const ValueId main = b.batch_norm("bn1", conv("conv1", x));
  const ValueId shortcut = b.batch_norm("downsample.1", conv("downsample.0", x));
  b.output(b.add("add", main, shortcut));
  const Graph fused = expect_same_function(std::move(b).finish().value());
  ASSERT_EQ(fused.nodes.size(), 2u);
  EXPECT_EQ(fused.nodes[0].name, "downsample.0");
  EXPECT_TRUE(conv_epilogue(fused.nodes[1]).residual);
}

TEST_F(Passes, FoldsIntoAConvolutionThatHasABias) {
  b.output(b.batch_norm("bn", conv("conv", x, {.padding = {1, 1}, .bias = true})));
  EXPECT_EQ(expect_same_function(std::move(b).finish().value()).nodes.size(), 1u);
}

TEST_F(Passes, ABatchNormAfterAnActivationIsNotFolded) {
  Conv2dAttrs attrs{.padding = {1, 1}};
  attrs.epilogue.activation = Activation::kRelu;
  b.output(b.batch_norm("bn", conv("conv", x, attrs)));
  EXPECT_EQ(expect_same_function(std::move(b).finish().value()).nodes.size(), 2u);
}

TEST_F(Passes, ABatchNormBeforeItsConvolutionKeepsItsPlaceAndTakesTheRelu) {
  b.output(conv("conv", b.relu("relu", b.batch_norm("bn", x))));
  const Graph fused = expect_same_function(std::move(b).finish().value());
  EXPECT_EQ(kinds(fused), (std::vector{OpKind::kBatchNorm, OpKind::kConv2d}));
}

TEST_F(Passes, WhatTwoNodesReadIsNotFusedAway) {
  const ValueId y = conv("conv", x);
  b.output(b.add("add", b.batch_norm("bn", y), y));
  const Graph fused = expect_same_function(std::move(b).finish().value());
  EXPECT_EQ(kinds(fused), (std::vector{OpKind::kConv2d, OpKind::kBatchNorm}));
}

TEST_F(Passes, WhatTheGraphGivesOutIsNotFusedAway) {
  const ValueId y = conv("conv", x);
  b.output(y);
  b.output(b.relu("relu", y));
  EXPECT_EQ(expect_same_function(std::move(b).finish().value()).nodes.size(), 2u);
}

TEST_F(Passes, AValueAddedToItselfStaysAnAdd) {
  const ValueId y = conv("conv", x);
  b.output(b.relu("relu", b.add("add", y, y)));
  const Graph fused = expect_same_function(std::move(b).finish().value());
  EXPECT_EQ(kinds(fused), (std::vector{OpKind::kConv2d, OpKind::kAdd}));
}

TEST_F(Passes, AGateIsNotAResidual) {
  const ValueId gate = b.adaptive_avg_pool2d("pool", x, {});
  b.output(b.relu("relu", b.add("add", conv("conv", x), gate)));
  EXPECT_EQ(expect_same_function(std::move(b).finish().value()).nodes.size(), 3u);
}

TEST_F(Passes, AnActivationAfterAnActivationStays) {
  const ValueId y = b.activation("silu", conv("conv", x), Activation::kSilu);
  b.output(b.relu("relu", y));
  EXPECT_EQ(expect_same_function(std::move(b).finish().value()).nodes.size(), 2u);
}

class ChooseStorage : public Passes {
 protected:
  // Each node that makes a value: its name, and how that is stored.
  std::vector<std::pair<std::string, Storage>> chosen(Graph graph, Storage storage,
                                                      const std::vector<std::string>& patterns) {
    const Status status = mark_full_precision(graph, patterns);
    EXPECT_TRUE(status.ok()) << status.error().message;
    choose_storage(graph, storage);
    std::vector<std::pair<std::string, Storage>> list;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      if (node.outputs.empty()) continue;
      list.emplace_back(node.name, graph.value(node.output()).storage.value());
      EXPECT_EQ(graph.value(node.output()).producer, static_cast<NodeId>(i));
    }
    return list;
  }

  Graph chain() {
    b.output(conv("c", b.relu("b.2", conv("b.1", conv("a", x)))));
    return std::move(b).finish().value();
  }
};

TEST_F(ChooseStorage, GivesEveryActivationThePolicys) {
  EXPECT_THAT(chosen(chain(), Storage::kBf16, {}),
              ElementsAre(Pair("a", Storage::kBf16), Pair("b.1", Storage::kBf16),
                          Pair("b.2", Storage::kBf16), Pair("c", Storage::kBf16)));
}

TEST_F(ChooseStorage, ConvertsWhereLayersInFullPrecisionBeginAndEnd) {
  EXPECT_THAT(chosen(chain(), Storage::kF16, {"b.*"}),
              ElementsAre(Pair("a", Storage::kF16), Pair("a as f32", Storage::kF32),
                          Pair("b.1", Storage::kF32), Pair("b.2", Storage::kF32),
                          Pair("b.2 as f16", Storage::kF16), Pair("c", Storage::kF16)));
}

TEST_F(ChooseStorage, ConvertsOnceForAllReaders) {
  const ValueId y = conv("a", x);
  const ValueId first = conv("b.1", y);
  b.output(b.add("sum", first, conv("b.2", y)));
  EXPECT_THAT(chosen(std::move(b).finish().value(), Storage::kF16, {"b.1", "b.2", "sum"}),
              ElementsAre(Pair("a", Storage::kF16), Pair("a as f32", Storage::kF32),
                          Pair("b.1", Storage::kF32), Pair("b.2", Storage::kF32),
                          Pair("sum", Storage::kF32)));
}

TEST_F(ChooseStorage, LeavesWhatAGraphFixes) {
  Graph graph = chain();
  graph.value(graph.nodes[1].output()).storage = Storage::kF32;
  EXPECT_THAT(chosen(std::move(graph), Storage::kF16, {}),
              ElementsAre(Pair("a", Storage::kF16), Pair("b.1", Storage::kF32),
                          Pair("b.2", Storage::kF16), Pair("c", Storage::kF16)));
}

TEST_F(ChooseStorage, FollowsALayerIntoItsGradients) {
  b.output(b.linear("fc", b.flatten("flatten", conv("b", conv("a", x))), 3));
  const auto training = make_training_graph(std::move(b).finish().value(), {}).value();
  int gradients = 0;
  for (const auto& [name, storage] : chosen(training.graph, Storage::kF16, {"b"})) {
    if (name == "a") {
      EXPECT_EQ(storage, Storage::kF16);
    }
    if (name != "b" && !name.starts_with("b ")) continue;
    const bool handed_on = name.ends_with(" as f16");
    EXPECT_EQ(storage, handed_on ? Storage::kF16 : Storage::kF32) << name;
    ++gradients;
  }
  EXPECT_GE(gradients, 3);
}

// Else what range of logits a loss can take would be a half's.
TEST_F(ChooseStorage, GivesALossThePrecisionOfItsLogits) {
  b.output(b.linear("fc", b.flatten("flatten", conv("a", x)), 3));
  const auto training = make_training_graph(std::move(b).finish().value(), {}).value();
  for (const bool full : {false, true}) {
    Graph graph = training.graph;
    ASSERT_TRUE(mark_full_precision(
                    graph, full ? std::vector<std::string>{"fc"} : std::vector<std::string>{})
                    .ok());
    choose_storage(graph, Storage::kF16);
    const auto loss = std::ranges::find(graph.nodes, "loss gradient", &Node::name);
    ASSERT_NE(loss, graph.nodes.end());
    const Storage expected = full ? Storage::kF32 : Storage::kF16;
    EXPECT_EQ(graph.value(loss->inputs[0]).storage, expected);
    EXPECT_EQ(graph.value(loss->output()).storage, expected);
  }
}

TEST_F(ChooseStorage, RoundsNoInputThatALayerReadsInFullPrecision) {
  b.output(b.add("sum", conv("a", x), conv("b", x)));
  Graph graph = std::move(b).finish().value();
  ASSERT_TRUE(mark_full_precision(graph, {"b"}).ok());
  choose_storage(graph, Storage::kF16);
  EXPECT_EQ(graph.value(graph.inputs[0]).storage, Storage::kF32);
}

// A pattern may name what fusing then takes away.
TEST_F(ChooseStorage, KeepsInFullPrecisionWhatIsFusedWithALayerThatIs) {
  b.output(b.relu("relu", b.batch_norm("bn", conv("conv", x))));
  Graph graph = std::move(b).finish().value();
  Weights weights = test::random_weights(graph);
  ChannelScales scales;
  ASSERT_TRUE(mark_full_precision(graph, {"bn"}).ok());
  fold_batch_norm(graph, weights, scales);
  fuse_epilogues(graph);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_TRUE(graph.nodes[0].full_precision);
}

TEST_F(ChooseStorage, TakesStarsForAnyCharacters) {
  const auto named = [&](const std::string& pattern) {
    Graph graph = test::small_net(1);
    for (Node& node : graph.nodes) node.name = "layer1.0.conv1";
    return mark_full_precision(graph, {pattern}).ok();
  };
  for (const char* pattern : {"layer1.0.conv1", "*", "layer1.*", "*conv1", "*.0.*", "l*1*1", "**"})
    EXPECT_TRUE(named(pattern)) << pattern;
  for (const char* pattern : {"", "layer1", "*conv", "layer1.*x*", "*2*", "layer1.0.conv1*?"})
    EXPECT_FALSE(named(pattern)) << pattern;
  EXPECT_FALSE(named("*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*1*"));  // In no time.
}

TEST_F(ChooseStorage, RefusesAPatternThatNamesNothing) {
  Graph graph = chain();
  const Status status = mark_full_precision(graph, {"a", "d*"});
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, testing::HasSubstr("'d*'"));
}

}  // namespace
}  // namespace caldera
