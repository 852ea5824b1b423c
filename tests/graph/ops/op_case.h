// A case of the operator test: a graph of one node, and how its operands are filled. The tables
// in *_cases.cpp list them; op_test.cpp runs each with every kernel variant.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "caldera/graph.h"

namespace caldera::test {

struct OpCase {
  std::string name;
  Graph graph;      // One node; its activations and residual are inputs, its weights parameters.
  float scale = 1;  // Inputs are uniform in [-scale, scale).
  // Called on the inputs' values after they are drawn, for special values.
  std::function<void(std::vector<std::vector<float>>&)> edit = nullptr;
  bool every_tile = false;  // A CPU driver runs GPUs' large tiles on it too.
};

// What GoogleTest prints of a case.
void PrintTo(const OpCase& test, std::ostream* stream);

// A graph by GraphBuilder: `build` makes inputs and one node, and returns its output.
Graph one_node(const std::function<ValueId(GraphBuilder&)>& build);
// Adds what fusion would: a residual as another input, an activation.
Graph with_epilogue(Graph graph, bool residual, Activation activation);

// Every activation but kNone.
const std::vector<Activation>& activations();

struct ConvShape {
  Shape input;  // [N, C, H, W]
  int64_t out_channels = 1;
  Size2d kernel{};
  Conv2dAttrs attrs{};
};
OpCase conv_case(const std::string& name, const ConvShape& shape);

// The convolutions of ResNet-18, ResNet-50 and the CIFAR nets: all of them, the costly ones on
// smaller images, so that a CPU driver is done in seconds; and those costly ones at full size.
std::vector<OpCase> resnet_conv_cases();
std::vector<OpCase> full_size_resnet_conv_cases();
std::vector<OpCase> odd_conv_cases();
std::vector<OpCase> grouped_conv_cases();
std::vector<OpCase> pool_cases();
std::vector<OpCase> pointwise_cases();
std::vector<OpCase> rearranging_cases();
std::vector<OpCase> linear_cases();
// NaN and infinities, which `edit` puts into the inputs, and into the gradient where there is one.
std::vector<OpCase> nan_cases();

}  // namespace caldera::test
