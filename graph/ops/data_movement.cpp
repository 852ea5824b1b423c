// Shape rules of operators that move elements and compute nothing: concat, pad, subsample,
// flatten.
#include <algorithm>

#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

Result<Shape> infer(const ConcatAttrs&, const std::vector<Shape>& inputs) {
  if (inputs.empty()) return shape_error("takes at least one input");
  CALDERA_TRY(expect_activation(inputs[0]));
  Shape output = inputs[0];
  for (size_t i = 1; i < inputs.size(); ++i) {
    Shape other = inputs[i];
    if (other.size() == output.size()) other[1] = inputs[0][1];
    if (other != inputs[0]) {
      return shape_error(fmt::format("cannot join shapes {} and {} along channels",
                                     to_string(inputs[0]), to_string(inputs[i])));
    }
    output[1] += inputs[i][1];
  }
  return output;
}

Result<Shape> infer(const PadAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  const Shape& x = inputs[0];
  const bool channels_alone = (attrs.top | attrs.bottom | attrs.left | attrs.right) == 0;
  CALDERA_TRY(channels_alone ? expect_activation(x) : expect_image(x));
  Shape output = x;
  output[1] += attrs.channels_before + attrs.channels_after;
  if (x.size() == 4) {
    output[2] += attrs.top + attrs.bottom;
    output[3] += attrs.left + attrs.right;
  }
  if (*std::ranges::min_element(output) < 1) {
    return shape_error(fmt::format("cuts {} down to {}: leave 1 or more of every extent",
                                   to_string(x), to_string(output)));
  }
  return output;
}

Result<Shape> infer(const SubsampleAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  const Shape& x = inputs[0];
  CALDERA_TRY(expect_image(x));
  if (attrs.stride.h < 1 || attrs.stride.w < 1) return shape_error("needs a stride of 1 or more");
  return Shape{x[0], x[1], (x[2] + attrs.stride.h - 1) / attrs.stride.h,
               (x[3] + attrs.stride.w - 1) / attrs.stride.w};
}

Result<Shape> infer(const FlattenAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_activation(inputs[0]));
  const Shape& x = inputs[0];
  return Shape{x[0], x.size() == 4 ? x[1] * x[2] * x[3] : x[1]};
}

}  // namespace caldera
