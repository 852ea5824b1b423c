// Shape rule of linear.
#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

Result<Shape> infer(const LinearAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2u + attrs.bias + attrs.epilogue.residual));
  const Shape& x = inputs[0];       // [N, I]
  const Shape& weight = inputs[1];  // [O, I]
  if (x.size() != 2) {
    return shape_error(fmt::format("needs an input [N, F], got {}: flatten it", to_string(x)));
  }
  if (weight.size() != 2 || weight[1] != x[1]) {
    return shape_error(fmt::format("has a weight {} that does not fit an input {}",
                                   to_string(weight), to_string(x)));
  }
  if (attrs.bias && inputs[2] != Shape{weight[0]}) {
    return shape_error(
        fmt::format("has a bias {} where [{}] is needed", to_string(inputs[2]), weight[0]));
  }
  const Shape output{x[0], weight[0]};
  CALDERA_TRY(expect_residual(attrs.epilogue, inputs, output));
  return output;
}

}  // namespace caldera
