// Checks that several shape rules share.
#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

Error shape_error(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
}

Status expect_inputs(const std::vector<Shape>& inputs, size_t count) {
  if (inputs.size() == count) return {};
  return shape_error(fmt::format("takes {} inputs, got {}", count, inputs.size()));
}

Status expect_image(const Shape& shape) {
  if (shape.size() == 4) return {};
  return shape_error(fmt::format("needs an input [N, C, H, W], got {}", to_string(shape)));
}

Status expect_activation(const Shape& shape) {
  if (shape.size() == 4 || shape.size() == 2) return {};
  return shape_error(
      fmt::format("needs an input [N, C, H, W] or [N, F], got {}", to_string(shape)));
}

Status expect_residual(const Epilogue& epilogue, const std::vector<Shape>& inputs,
                       const Shape& output) {
  if (!epilogue.residual || inputs.back() == output) return {};
  return shape_error(fmt::format("adds a residual of shape {} to an output of shape {}",
                                 to_string(inputs.back()), to_string(output)));
}

Result<int64_t> window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                             int64_t dilation, bool ceil_mode) {
  if (kernel < 1 || stride < 1 || padding < 0 || dilation < 1) {
    return shape_error("needs kernel, stride and dilation of at least 1 and padding of at least 0");
  }
  const int64_t span = dilation * (kernel - 1) + 1;
  const int64_t room = size + 2 * padding - span;
  const int64_t slack = ceil_mode ? stride - 1 : 0;
  if (room + slack < 0) {
    return shape_error(fmt::format("needs an input of at least {} here, got {}: enlarge the image",
                                   span - 2 * padding, size));
  }
  int64_t count = (room + slack) / stride + 1;
  // As PyTorch has it: a window that would start in the padding after the input is dropped.
  if (ceil_mode && (count - 1) * stride >= size + padding) --count;
  return count;
}

}  // namespace caldera
