// A graph built node by node, of any operator, with shapes inferred; and run by the reference.
// Tests of single operators build with it what GraphBuilder has no function for.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "caldera/graph.h"
#include "caldera/reference.h"

#include "graph/autodiff/autodiff.h"

namespace caldera::test {

struct Net {
  Graph graph;
  Weights weights;

  ValueId input(Shape shape) {
    const ValueId id = append({"input", ValueRole::kInput, std::move(shape)});
    graph.inputs.push_back(id);
    return id;
  }

  ValueId parameter(Shape shape, std::vector<float> values) {
    const std::string name = "parameter" + std::to_string(graph.values.size());
    weights[name] = Tensor::from_floats(shape, std::move(values));
    return append({name, ValueRole::kParameter, std::move(shape)});
  }

  // A gradient, say: zero at first.
  ValueId zeros(Shape shape) {
    const ValueId id = append(
        {"zeros" + std::to_string(graph.values.size()), ValueRole::kState, std::move(shape)});
    graph.value(id).starts_at_zero = true;
    return id;
  }

  // The first output, kNone where the operator only updates.
  ValueId node(Attrs attrs, std::vector<ValueId> inputs, std::vector<ValueId> updates = {}) {
    std::vector<Shape> shapes;
    for (const ValueId id : inputs) shapes.push_back(graph.value(id).shape);
    const auto made = infer_shapes(attrs, shapes);
    EXPECT_TRUE(made.ok()) << made.error().message;
    const std::string name = "node" + std::to_string(graph.nodes.size());
    std::vector<ValueId> outputs;
    for (const Shape& shape : made.ok() ? *made : std::vector<Shape>()) {
      outputs.push_back(append(
          {name, ValueRole::kActivation, shape, false, static_cast<NodeId>(graph.nodes.size())}));
    }
    graph.nodes.push_back({name, std::move(attrs), std::move(inputs), outputs, std::move(updates)});
    return graph.nodes.back().output();
  }

  const Shape& shape(ValueId id) const { return graph.value(id).shape; }

  // Every value; the test fails where the reference refuses.
  ReferenceValues run(const std::vector<std::vector<float>>& inputs) const {
    auto values = run_reference(graph, weights, inputs);
    EXPECT_TRUE(values.ok()) << values.error().message;
    return values.ok() ? *std::move(values)
                       : ReferenceValues{std::vector<std::vector<float>>(graph.values.size())};
  }

 private:
  ValueId append(Value value) {
    graph.values.push_back(std::move(value));
    return static_cast<ValueId>(graph.values.size() - 1);
  }
};

// Gradients of a convolution of x, as autodiff writes them, of what is `needed` of x and weight.
inline Gradients conv2d_gradients(GraphAppender& to, Net& net, const Conv2dAttrs& conv, ValueId x,
                                  ValueId weight, ValueId needed, ValueId dy) {
  net.node(conv, {x, weight});
  const Node node = net.graph.nodes.back();
  EXPECT_EQ(net.shape(node.output()), net.shape(dy));
  std::vector<bool> needs(net.graph.values.size());
  needs[static_cast<size_t>(needed)] = needs[static_cast<size_t>(node.output())] = true;
  Gradients gradients(to, std::move(needs));
  gradients.add(node.output(), dy);
  append_gradient(gradients, node);
  EXPECT_TRUE(to.status().ok()) << to.status().error().message;
  return gradients;
}

// Of its input, [N, I, H, W] of `size` pixels.
inline ValueId conv2d_data_gradient(Net& net, const Conv2dAttrs& conv, ValueId dy, ValueId weight,
                                    Size2d size) {
  const int64_t channels = net.shape(weight)[1] * conv.groups;
  const ValueId x = net.zeros({net.shape(dy)[0], channels, size.h, size.w});
  GraphAppender to(net.graph);
  return conv2d_gradients(to, net, conv, x, weight, x, dy).of(x);
}

// Of its weight, of that shape.
inline ValueId conv2d_weight_gradient(Net& net, const Conv2dAttrs& conv, ValueId x, ValueId dy,
                                      const Shape& shape) {
  const auto count = static_cast<size_t>(element_count(shape));
  const ValueId weight = net.parameter(shape, std::vector<float>(count));
  GraphAppender to(net.graph);
  return conv2d_gradients(to, net, conv, x, weight, weight, dy).parameters().at(0).second;
}

}  // namespace caldera::test
