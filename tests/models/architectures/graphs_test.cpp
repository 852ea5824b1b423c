// Graphs against the papers' own figures: parameters, multiply-adds, and the structure that sets
// the variants apart. (Names and shapes are held against PyTorch in reference_nets_test.cpp.)
#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/architecture.h"

namespace caldera {
namespace {

using ::testing::HasSubstr;

Graph graph_of(std::string_view name, int64_t batch, Size2d input) {
  auto graph = build_graph(find_architecture(name).value(), batch, input);
  EXPECT_TRUE(graph.ok()) << graph.error().message;
  return graph.ok() ? *std::move(graph) : Graph{};
}

Graph graph_of(std::string_view name) {
  return graph_of(name, 1, find_architecture(name).value().input);
}

int64_t count(const Graph& graph, OpKind kind) {
  return std::ranges::count(graph.nodes, kind, &Node::kind);
}

const Node& node(const Graph& graph, std::string_view name) {
  return *std::ranges::find(graph.nodes, name, &Node::name);
}

struct Figure {
  const char* name;
  int64_t parameters;
  double giga_multiply_adds;  // As printed; 0 where the paper has none.
};

TEST(Graphs, HaveThePapersSizes) {
  // Multiply-adds are He et al.'s (stride on the first 1x1), for VGG-19 too.
  const Figure figures[] = {
      {"resnet18", 11689512, 1.8},
      {"resnet34", 21797672, 3.6},
      {"resnet50:stride=first", 25557032, 3.8},
      {"resnet101:stride=first", 44549160, 7.6},
      {"resnet152:stride=first", 60192808, 11.3},
      {"plain34", 21623848, 3.6},
      {"vgg19", 143667240, 19.6},
      {"resnet50", 25557032, 4.09},  // torchvision's, with the stride on the 3x3.
      {"resnext50_32x4d", 25028904, 4.23},
      {"resnext101_32x8d", 88791336, 16.41},
      {"resnext101_64x4d", 83455272, 15.46},
      {"wide_resnet50_2", 68883240, 11.40},
      {"wide_resnet101_2", 126886696, 22.75},
      {"vgg16", 138357544, 15.47},
      {"vgg16_bn", 138365992, 15.47},
      {"vgg11", 132863336, 7.61},
  };
  for (const Figure& figure : figures) {
    const Graph graph = graph_of(figure.name);
    EXPECT_EQ(parameter_count(graph), figure.parameters) << figure.name;
    const double giga = static_cast<double>(multiply_adds(graph)) * 1e-9;
    // The paper's figures are cut rather than rounded.
    EXPECT_NEAR(giga, figure.giga_multiply_adds, 0.07) << figure.name;
  }
}

TEST(Graphs, CifarNetsHaveThePapersSizes) {
  const std::pair<int, double> millions[] = {{20, 0.27}, {32, 0.46}, {44, 0.66},
                                             {56, 0.85}, {110, 1.7}, {1202, 19.4}};
  for (const auto& [depth, expected] : millions) {
    const Graph graph = graph_of("cifar_resnet" + std::to_string(depth));
    const double actual = static_cast<double>(parameter_count(graph)) * 1e-6;
    EXPECT_NEAR(actual, expected, depth < 100 ? 0.005 : 0.05) << depth;
    // Weighted layers: the convolutions and the classifier.
    EXPECT_EQ(count(graph, OpKind::kConv2d) + count(graph, OpKind::kLinear), depth);
    EXPECT_EQ(parameter_count(graph_of("cifar_plain" + std::to_string(depth))),
              parameter_count(graph));
  }
}

TEST(Graphs, BottlenecksSpareWeights) {
  const auto weights = [](const Graph& graph, const std::string& block) {
    int64_t sum = 0;
    for (const Value& value : graph.values) {
      if (value.role == ValueRole::kParameter && value.shape.size() == 4 &&
          value.name.starts_with(block))
        sum += element_count(value.shape);
    }
    return sum;
  };
  EXPECT_EQ(weights(graph_of("resnet34"), "layer3.1."), 1179648);
  EXPECT_EQ(weights(graph_of("resnet50"), "layer1.1."), 69632);
}

TEST(Graphs, MapBatchesToLogits) {
  for (const ArchitectureEntry& entry : list_architectures()) {
    const Graph graph = graph_of(entry.name + ":classes=7,channels=4", 5, {40, 33});
    ASSERT_EQ(graph.inputs.size(), 1u);
    ASSERT_EQ(graph.outputs.size(), 1u);
    EXPECT_EQ(graph.value(graph.inputs[0]).shape, (Shape{5, 4, 40, 33})) << entry.name;
    EXPECT_EQ(graph.value(graph.outputs[0]).shape, (Shape{5, 7})) << entry.name;
  }
}

TEST(Graphs, NamesAreUnique) {
  for (const char* name : {"resnet18:shortcut=a", "resnet50:shortcut=c", "cifar_resnet20",
                           "preact_resnet50", "vgg11_bn"}) {
    const Graph graph = graph_of(name);
    std::set<std::string> names;
    for (const Value& value : graph.values) {
      EXPECT_TRUE(names.insert(value.name).second) << name << ": " << value.name;
    }
  }
}

TEST(Graphs, ShortcutsDifferAsThePaperSays) {
  // ResNet-34 has 16 blocks, 3 of which change shape.
  EXPECT_EQ(count(graph_of("resnet34:shortcut=a"), OpKind::kAdd), 16);
  EXPECT_EQ(count(graph_of("resnet34:shortcut=a"), OpKind::kPad), 3);
  EXPECT_EQ(count(graph_of("resnet34:shortcut=a"), OpKind::kSubsample), 3);
  EXPECT_EQ(count(graph_of("resnet34:shortcut=a"), OpKind::kConv2d), 33);
  EXPECT_EQ(count(graph_of("resnet34:shortcut=b"), OpKind::kConv2d), 33 + 3);
  EXPECT_EQ(count(graph_of("resnet34:shortcut=c"), OpKind::kConv2d), 33 + 16);
  EXPECT_EQ(count(graph_of("plain34"), OpKind::kConv2d), 33);
  EXPECT_EQ(count(graph_of("plain34"), OpKind::kAdd), 0);
  // A bottleneck's first stage widens its input and keeps its size.
  EXPECT_EQ(count(graph_of("resnet50:shortcut=a"), OpKind::kPad), 4);
  EXPECT_EQ(count(graph_of("resnet50:shortcut=a"), OpKind::kSubsample), 3);
}

TEST(Graphs, ZeroChannelsStandWhereAsked) {
  const Graph at_end = graph_of("cifar_resnet20:zeros=end");
  const Graph centered = graph_of("cifar_resnet20");
  const auto& end = std::get<PadAttrs>(node(at_end, "layer2.0.shortcut.pad").attrs);
  const auto& center = std::get<PadAttrs>(node(centered, "layer2.0.shortcut.pad").attrs);
  EXPECT_EQ(std::pair(end.channels_before, end.channels_after), std::pair(0, 16));
  EXPECT_EQ(std::pair(center.channels_before, center.channels_after), std::pair(8, 8));
}

TEST(Graphs, StrideIsOnThe3x3OrTheFirst1x1) {
  const Graph torchvision = graph_of("resnet50");
  const Graph paper = graph_of("resnet50:stride=first");
  const auto stride = [](const Graph& graph, std::string_view name) {
    return std::get<Conv2dAttrs>(node(graph, name).attrs).stride.h;
  };
  EXPECT_EQ(stride(torchvision, "layer2.0.conv1"), 1);
  EXPECT_EQ(stride(torchvision, "layer2.0.conv2"), 2);
  EXPECT_EQ(stride(paper, "layer2.0.conv1"), 2);
  EXPECT_EQ(stride(paper, "layer2.0.conv2"), 1);
}

TEST(Graphs, RefuseSizesThatTheNetDoesNotAllow) {
  const auto message = [](std::string_view name, int64_t batch, Size2d input) {
    const auto graph = build_graph(find_architecture(name).value(), batch, input);
    EXPECT_FALSE(graph.ok()) << name;
    return graph.ok() ? "" : graph.error().message;
  };
  EXPECT_THAT(message("vgg16", 1, {31, 64}),
              HasSubstr("vgg16 halves its input 5 times: give it images of at least 32x32"));
  EXPECT_THAT(message("resnet18", 0, {32, 32}), HasSubstr("batch of 0"));
  EXPECT_THAT(message("resnet18", 1, {0, 32}), HasSubstr("0x32"));
  EXPECT_THAT(message("resnet18", int64_t{1} << 50, {224, 224}), HasSubstr("resnet18: input"));
  EXPECT_THAT(message("resnet18:groups=2", 1, {32, 32}), HasSubstr("are for bottlenecks"));
  EXPECT_THAT(message("cifar_resnet29:block=bottleneck,width=1", 1, {32, 32}),
              HasSubstr("without channels"));
  // ResNets take any size, down to one pixel.
  EXPECT_TRUE(build_graph(find_architecture("resnet50").value(), 1, {1, 1}).ok());
  EXPECT_TRUE(build_graph(find_architecture("cifar_resnet20").value(), 1, {1, 1}).ok());
}

}  // namespace
}  // namespace caldera
