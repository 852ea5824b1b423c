// Shape rules of operators that keep their input's shape: batch_norm, activation, add, multiply,
// softmax, dropout.
#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

namespace {

Result<Shape> infer_unary(const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_activation(inputs[0]));
  return inputs[0];
}

Result<Shape> infer_binary(const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  CALDERA_TRY(expect_activation(inputs[0]));
  const Shape& a = inputs[0];
  const Shape& b = inputs[1];
  const bool gate = a.size() == 4 && b == Shape{a[0], a[1], 1, 1};
  if (a != b && !gate) {
    return shape_error(fmt::format("cannot combine shapes {} and {}", to_string(a), to_string(b)));
  }
  return a;
}

}  // namespace

Result<Shape> infer(const BatchNormAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 5u + attrs.epilogue.residual));
  CALDERA_TRY(expect_activation(inputs[0]));
  for (size_t i = 1; i < 5; ++i) {
    if (inputs[i] != Shape{inputs[0][1]}) {
      return shape_error(fmt::format("has a parameter of shape {} for {} channels",
                                     to_string(inputs[i]), inputs[0][1]));
    }
  }
  CALDERA_TRY(expect_residual(attrs.epilogue, inputs, inputs[0]));
  return inputs[0];
}

Result<Shape> infer(const ActivationAttrs&, const std::vector<Shape>& inputs) {
  return infer_unary(inputs);
}

Result<Shape> infer(const AddAttrs&, const std::vector<Shape>& inputs) {
  return infer_binary(inputs);
}

Result<Shape> infer(const MultiplyAttrs&, const std::vector<Shape>& inputs) {
  return infer_binary(inputs);
}

Result<Shape> infer(const SoftmaxAttrs&, const std::vector<Shape>& inputs) {
  return infer_unary(inputs);
}

Result<Shape> infer(const ConvertAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_activation(inputs[0]));
  return inputs[0];
}

Result<Shape> infer(const DropoutAttrs&, const std::vector<Shape>& inputs) {
  return infer_unary(inputs);
}

}  // namespace caldera
