// Shape rule of conv2d.
#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

Result<Shape> infer(const Conv2dAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2u + attrs.bias + attrs.epilogue.residual));
  const Shape& x = inputs[0];
  const Shape& weight = inputs[1];  // [O, I / groups, KH, KW]
  CALDERA_TRY(expect_image(x));
  if (weight.size() != 4) {
    return shape_error(
        fmt::format("needs a weight [O, I / groups, KH, KW], got {}", to_string(weight)));
  }
  if (attrs.groups < 1 || x[1] % attrs.groups != 0 || weight[0] % attrs.groups != 0) {
    return shape_error(fmt::format("cannot split {} input and {} output channels into {} groups",
                                   x[1], weight[0], attrs.groups));
  }
  if (weight[1] != x[1] / attrs.groups) {
    return shape_error(fmt::format("has a weight {} that does not fit an input {} in {} group(s)",
                                   to_string(weight), to_string(x), attrs.groups));
  }
  if (attrs.bias && inputs[2] != Shape{weight[0]}) {
    return shape_error(
        fmt::format("has a bias {} where [{}] is needed", to_string(inputs[2]), weight[0]));
  }
  CALDERA_TRY_ASSIGN(const int64_t h, window_count(x[2], weight[2], attrs.stride.h, attrs.padding.h,
                                                   attrs.dilation.h, false));
  CALDERA_TRY_ASSIGN(const int64_t w, window_count(x[3], weight[3], attrs.stride.w, attrs.padding.w,
                                                   attrs.dilation.w, false));
  const Shape output{x[0], weight[0], h, w};
  CALDERA_TRY(expect_residual(attrs.epilogue, inputs, output));
  return output;
}

}  // namespace caldera
