// Making one-node graphs for the tables.
#include "tests/graph/ops/op_case.h"

#include <ostream>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace caldera::test {

void PrintTo(const OpCase& test, std::ostream* stream) {
  *stream << test.name;
}

Graph one_node(const std::function<ValueId(GraphBuilder&)>& build) {
  GraphBuilder builder;
  builder.output(build(builder));
  auto graph = std::move(builder).finish();
  if (!graph.ok()) ADD_FAILURE() << "a case does not build: " << graph.error().message;
  return graph.ok() ? std::move(graph).value() : Graph{};
}

Graph with_epilogue(Graph graph, bool residual, Activation activation) {
  Node& node = graph.nodes[0];
  if (residual) {
    const auto id = static_cast<ValueId>(graph.values.size());
    graph.values.push_back({"residual", ValueRole::kInput, graph.value(node.output()).shape});
    graph.inputs.push_back(id);
    node.inputs.push_back(id);
  }
  const auto set = [&](auto& attrs) {
    if constexpr (requires { attrs.epilogue; }) {
      attrs.epilogue = {residual, activation};
    } else if constexpr (requires { attrs.activation; }) {
      attrs.activation = activation;
    }
  };
  std::visit(set, node.attrs);
  return graph;
}

const std::vector<Activation>& activations() {
  static const std::vector<Activation> all = {Activation::kRelu, Activation::kRelu6,
                                              Activation::kSigmoid, Activation::kSilu,
                                              Activation::kHardSwish};
  return all;
}

OpCase conv_case(const std::string& name, const ConvShape& shape) {
  return {name, one_node([&](GraphBuilder& builder) {
            return builder.conv2d("conv", builder.input("x", shape.input), shape.out_channels,
                                  shape.kernel, shape.attrs);
          })};
}

}  // namespace caldera::test
