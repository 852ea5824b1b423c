// A graph built node by node, of any operator, with shapes inferred; and run by the reference.
// Tests of single operators build with it what GraphBuilder has no function for.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "caldera/graph.h"
#include "caldera/reference.h"

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

  // kNone where the operator only updates.
  ValueId node(Attrs attrs, std::vector<ValueId> inputs, std::vector<ValueId> updates = {}) {
    std::vector<Shape> shapes;
    for (const ValueId id : inputs) shapes.push_back(graph.value(id).shape);
    const auto shape = infer_shape(attrs, shapes);
    EXPECT_TRUE(shape.ok()) << shape.error().message;
    const std::string name = "node" + std::to_string(graph.nodes.size());
    ValueId output = ValueId::kNone;
    if (shape.ok() && !shape->empty()) {
      output = append(
          {name, ValueRole::kActivation, *shape, false, static_cast<NodeId>(graph.nodes.size())});
    }
    graph.nodes.push_back({name, std::move(attrs), std::move(inputs), output, std::move(updates)});
    return output;
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

// The gradient of a convolution's input, [N, I, H, W] of `size` pixels, out of operators: a
// convolution of dy by the transposed weight, dy being spread apart first where it has strides.
inline ValueId conv2d_data_gradient(Net& net, const Conv2dAttrs& conv, ValueId dy, ValueId weight,
                                    Size2d size) {
  const Shape& kernel = net.shape(weight);
  const Size2d reach{conv.dilation.h * (static_cast<int32_t>(kernel[2]) - 1),
                     conv.dilation.w * (static_cast<int32_t>(kernel[3]) - 1)};
  const Size2d rest{reach.h - conv.padding.h, reach.w - conv.padding.w};
  const ValueId transposed = net.node(TransposeWeightAttrs{conv.groups}, {weight});
  Conv2dAttrs back{.dilation = conv.dilation, .groups = conv.groups};
  if (conv.stride == Size2d{1, 1} && rest.h >= 0 && rest.w >= 0) {
    back.padding = rest;
  } else {
    dy = net.node(UpsampleZerosAttrs{conv.stride, rest, Size2d{size.h + reach.h, size.w + reach.w}},
                  {dy});
  }
  return net.node(back, {dy, transposed});
}

}  // namespace caldera::test
