// Shape rules of the pools.
#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

namespace {

template <typename PoolAttrs>
Result<Shape> infer_pool(const PoolAttrs& attrs, Size2d dilation,
                         const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  const Shape& x = inputs[0];
  CALDERA_TRY(expect_image(x));
  if (attrs.padding.h * 2 > attrs.kernel.h || attrs.padding.w * 2 > attrs.kernel.w) {
    return shape_error(fmt::format("pads by {}x{}, more than half its kernel {}x{}",
                                   attrs.padding.h, attrs.padding.w, attrs.kernel.h,
                                   attrs.kernel.w));
  }
  CALDERA_TRY_ASSIGN(const int64_t h, window_count(x[2], attrs.kernel.h, attrs.stride.h,
                                                   attrs.padding.h, dilation.h, attrs.ceil_mode));
  CALDERA_TRY_ASSIGN(const int64_t w, window_count(x[3], attrs.kernel.w, attrs.stride.w,
                                                   attrs.padding.w, dilation.w, attrs.ceil_mode));
  return Shape{x[0], x[1], h, w};
}

}  // namespace

Result<std::vector<Shape>> infer(const MaxPool2dAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY_ASSIGN(const Shape pooled, infer_pool(attrs, attrs.dilation, inputs));
  constexpr int64_t kMostTaps = 65'535;  // Their numbers are kept in 16 bits.
  if (attrs.places && int64_t{attrs.kernel.h} * attrs.kernel.w > kMostTaps) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("a window of {}x{} has no gradient: {} taps are the most",
                             attrs.kernel.h, attrs.kernel.w, kMostTaps)};
  }
  return std::vector<Shape>(attrs.places ? 2 : 1, pooled);
}

Result<Shape> infer(const AvgPool2dAttrs& attrs, const std::vector<Shape>& inputs) {
  return infer_pool(attrs, Size2d{1, 1}, inputs);
}

Result<Shape> infer(const AdaptiveAvgPool2dAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  const Shape& x = inputs[0];
  CALDERA_TRY(expect_image(x));
  if (attrs.output.h < 1 || attrs.output.w < 1)
    return shape_error("needs an output of 1x1 or more");
  // Bins are computed in 32 bits.
  if ((attrs.output.h + int64_t{1}) * x[2] > UINT32_MAX ||
      (attrs.output.w + int64_t{1}) * x[3] > UINT32_MAX) {
    return shape_error(fmt::format("cannot pool {} to {}x{}: too many pixels in a row",
                                   to_string(x), attrs.output.h, attrs.output.w));
  }
  return Shape{x[0], x[1], attrs.output.h, attrs.output.w};
}

}  // namespace caldera
