// Shape rules of the operators that training adds (caldera/training_ops.h). An operator that only
// updates has an empty shape.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "graph/align.h"
#include "graph/ops/ops.h"

namespace caldera {

namespace {

Status expect_shape(const Shape& shape, const Shape& expected, std::string_view what) {
  if (shape == expected) return {};
  return shape_error(fmt::format("has {} of shape {} where {} is needed", what, to_string(shape),
                                 to_string(expected)));
}

Status expect_scalars(const Shape& shape) {
  return expect_shape(shape, {1, kScalarCount}, "scalars");
}

// dy, x, statistics, weight, bias.
Status expect_normalize(float eps, const std::vector<Shape>& inputs) {
  // Channels that pad the last vector have no variance: without eps they would be no numbers.
  if (!(eps > 0) || !std::isfinite(eps)) {
    return shape_error(fmt::format("has an eps of {}: training needs one above 0", eps));
  }
  CALDERA_TRY(expect_activation(inputs[1]));
  const int64_t channels = inputs[1][1];
  CALDERA_TRY(expect_shape(inputs[0], inputs[1], "a gradient"));
  CALDERA_TRY(expect_shape(inputs[2], {2, channels}, "statistics"));
  CALDERA_TRY(expect_shape(inputs[3], {channels}, "a weight"));
  return expect_shape(inputs[4], {channels}, "a bias");
}

Result<Shape> like_first_of_two(const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  CALDERA_TRY(expect_activation(inputs[0]));
  CALDERA_TRY(expect_shape(inputs[1], inputs[0], "a second input"));
  return inputs[0];
}

// The shape of a pool's gradient, dx, after checking that the pool of `x` has the shape of dy.
template <typename PoolAttrs>
Result<Shape> infer_pool_gradient(const PoolAttrs& pool, const Shape& dy, const Shape& x) {
  CALDERA_TRY_ASSIGN(const std::vector<Shape> pooled, infer_shapes(pool, {x}));
  CALDERA_TRY(expect_shape(dy, pooled[0], "a gradient"));
  return x;
}

Shape image_like(const Shape& shape, Size2d size) {
  return {shape[0], shape[1], size.h, size.w};
}

}  // namespace

Result<Shape> infer(const BatchStatisticsAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_activation(inputs[0]));
  return Shape{2, inputs[0][1]};
}

Result<Shape> infer(const FrozenStatisticsAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  if (inputs[0].size() != 1) return shape_error("needs a mean [C]");
  CALDERA_TRY(expect_shape(inputs[1], inputs[0], "a variance"));
  return Shape{2, inputs[0][0]};
}

Result<Shape> infer(const NormalizeAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 4u + attrs.epilogue.residual));
  std::vector<Shape> like{inputs[0]};
  like.insert(like.end(), inputs.begin(), inputs.begin() + 4);
  CALDERA_TRY(expect_normalize(attrs.eps, like));
  CALDERA_TRY(expect_residual(attrs.epilogue, inputs, inputs[0]));
  return inputs[0];
}

Result<Shape> infer(const UpdateRunningAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  if (inputs[0].size() != 2 || inputs[0][0] != 2) return shape_error("needs statistics [2, C]");
  CALDERA_TRY(expect_scalars(inputs[1]));
  if (attrs.count < 2) {
    return shape_error(fmt::format(
        "has {} value a channel to take statistics of, and needs 2 or more: give a larger batch or "
        "image, or freeze batch-norm",
        attrs.count));
  }
  return Shape{};
}

Result<Shape> infer(const NormalizeSumsAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 5));
  CALDERA_TRY(expect_normalize(attrs.eps, inputs));
  return inputs[2];
}

Result<Shape> infer(const NormalizeGradientAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, attrs.frozen ? 5 : 6));
  CALDERA_TRY(expect_normalize(attrs.eps, inputs));
  if (!attrs.frozen) CALDERA_TRY(expect_shape(inputs[5], inputs[2], "sums"));
  return inputs[1];
}

Result<Shape> infer(const ActivationGradientAttrs&, const std::vector<Shape>& inputs) {
  return like_first_of_two(inputs);
}

Result<Shape> infer(const Conv2dWeightGradientAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  CALDERA_TRY(expect_activation(inputs[0]));
  CALDERA_TRY(expect_activation(inputs[1]));
  const Shape& x = inputs[0];
  const Shape& dy = inputs[1];
  if (x.size() != dy.size() || x[0] != dy[0] || attrs.groups < 1 || x[1] % attrs.groups != 0 ||
      dy[1] % attrs.groups != 0) {
    return shape_error(fmt::format("cannot pair an input {} with a gradient {} in {} group(s)",
                                   to_string(x), to_string(dy), attrs.groups));
  }
  return Shape{};
}

Result<Shape> infer(const BiasGradientAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_activation(inputs[0]));
  return Shape{};
}

Result<Shape> infer(const TransposeWeightAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  Shape shape = inputs[0];
  if ((shape.size() != 4 && shape.size() != 2) || attrs.groups < 1 ||
      shape[0] % attrs.groups != 0) {
    return shape_error(
        fmt::format("cannot transpose a weight {} in {} group(s)", to_string(shape), attrs.groups));
  }
  const int64_t outputs = shape[0];
  shape[0] = shape[1] * attrs.groups;
  shape[1] = outputs / attrs.groups;
  if (shape.size() == 2) return shape;
  const auto taps = [](int64_t size, int32_t first, int32_t stride) {
    return first < 0 || stride < 1 || first >= size ? 0 : ceil_div(size - first, stride);
  };
  shape[2] = taps(shape[2], attrs.first.h, attrs.stride.h);
  shape[3] = taps(shape[3], attrs.first.w, attrs.stride.w);
  if (shape[2] == 0 || shape[3] == 0) {
    return shape_error(fmt::format("takes no tap of a weight {}", to_string(inputs[0])));
  }
  return shape;
}

Result<Shape> infer(const UpsampleZerosAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_image(inputs[0]));
  if (attrs.stride.h < 1 || attrs.stride.w < 1 || attrs.size.h < 1 || attrs.size.w < 1) {
    return shape_error("needs a stride and a size of 1 or more");
  }
  return image_like(inputs[0], attrs.size);
}

Result<Shape> infer(const InterleaveAttrs& attrs, const std::vector<Shape>& inputs) {
  if (inputs.empty() || inputs.size() != attrs.phases.size()) {
    return shape_error(
        fmt::format("has {} inputs for {} phases", inputs.size(), attrs.phases.size()));
  }
  if (attrs.stride.h < 1 || attrs.stride.w < 1 || attrs.size.h < 1 || attrs.size.w < 1) {
    return shape_error("needs a stride and a size of 1 or more");
  }
  const auto count = [](int32_t size, int32_t at, int32_t stride) {
    return at < 0 || at >= std::min(size, stride) ? 0 : ceil_div(size - at, stride);
  };
  int64_t reached = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Shape& x = inputs[i];
    const InterleaveAttrs::Phase& phase = attrs.phases[i];
    CALDERA_TRY(expect_image(x));
    const bool again =
        std::any_of(attrs.phases.begin(), attrs.phases.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](const InterleaveAttrs::Phase& other) { return other.at == phase.at; });
    const int64_t rows = count(attrs.size.h, phase.at.h, attrs.stride.h);
    const int64_t columns = count(attrs.size.w, phase.at.w, attrs.stride.w);
    if (x[0] != inputs[0][0] || x[1] != inputs[0][1] || again || rows == 0 || columns == 0 ||
        phase.from.h < 0 || phase.from.w < 0 || phase.from.h + rows > x[2] ||
        phase.from.w + columns > x[3]) {
      return shape_error(fmt::format("cannot take phase {} of an image {}x{} from {}", i,
                                     attrs.size.h, attrs.size.w, to_string(x)));
    }
    reached += rows * columns;
  }
  if (reached != int64_t{attrs.size.h} * attrs.size.w) {
    return shape_error("has phases that do not make up the image");
  }
  return image_like(inputs[0], attrs.size);
}

Result<Shape> infer(const MaxPool2dGradientAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  CALDERA_TRY(expect_image(inputs[0]));
  CALDERA_TRY(expect_shape(inputs[1], inputs[0], "places"));
  return infer_pool_gradient(attrs.pool, inputs[0], image_like(inputs[0], attrs.input));
}

Result<Shape> infer(const AvgPool2dGradientAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_image(inputs[0]));
  return infer_pool_gradient(attrs.pool, inputs[0], image_like(inputs[0], attrs.input));
}

Result<Shape> infer(const AdaptiveAvgPool2dGradientAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  const Shape& dy = inputs[0];
  CALDERA_TRY(expect_image(dy));
  const AdaptiveAvgPool2dAttrs pool{{static_cast<int32_t>(dy[2]), static_cast<int32_t>(dy[3])}};
  return infer_pool_gradient(pool, dy, image_like(dy, attrs.input));
}

Result<Shape> infer(const SumPixelsAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_image(inputs[0]));
  return image_like(inputs[0], {1, 1});
}

Result<Shape> infer(const UnflattenAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 1));
  CALDERA_TRY(expect_activation(inputs[0]));
  const Shape output{inputs[0][0], attrs.channels, attrs.size.h, attrs.size.w};
  if (inputs[0].size() != 2 || element_count(output) != element_count(inputs[0])) {
    return shape_error(
        fmt::format("cannot make {} of {}", to_string(output), to_string(inputs[0])));
  }
  return output;
}

Result<Shape> infer(const DropoutMaskAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  CALDERA_TRY(expect_activation(inputs[0]));
  CALDERA_TRY(expect_scalars(inputs[1]));
  if (!(attrs.probability >= 0 && attrs.probability < 1)) {
    return shape_error(fmt::format(
        "drops with probability {}, which must be at least 0 and under 1", attrs.probability));
  }
  return inputs[0];
}

Result<Shape> infer(const SoftmaxGradientAttrs&, const std::vector<Shape>& inputs) {
  return like_first_of_two(inputs);
}

Result<Shape> infer(const CrossEntropyAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY_ASSIGN(const Shape logits, like_first_of_two(inputs));
  if (logits.size() != 2) return shape_error("needs logits [N, classes]");
  return Shape{logits[0], 1};
}

Result<Shape> infer(const CrossEntropyGradientAttrs&, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 3));
  CALDERA_TRY(expect_scalars(inputs[2]));
  CALDERA_TRY(infer(CrossEntropyAttrs{}, {inputs[0], inputs[1]}));
  return inputs[0];
}

Result<Shape> infer(const GradientNormsAttrs&, const std::vector<Shape>& inputs) {
  if (inputs.size() < 2) return shape_error("needs gradients and scalars");
  CALDERA_TRY(expect_scalars(inputs.back()));
  return Shape{1, static_cast<int64_t>(inputs.size())};
}

Result<Shape> infer(const OptimizerAttrs& attrs, const std::vector<Shape>& inputs) {
  CALDERA_TRY(expect_inputs(inputs, 2));
  const auto expect = [](bool sensible, std::string_view what, float value) -> Status {
    if (sensible && std::isfinite(value)) return {};
    return shape_error(fmt::format("cannot take {} of {}", what, value));
  };
  const auto is_share = [](float value) { return value >= 0 && value < 1; };
  // An eps of 0 would divide by nothing where a gradient has been 0 so far.
  CALDERA_TRY(expect(attrs.eps > 0, "an eps", attrs.eps));
  CALDERA_TRY(expect(is_share(attrs.beta1), "a beta1", attrs.beta1));
  CALDERA_TRY(expect(is_share(attrs.beta2), "a beta2", attrs.beta2));
  CALDERA_TRY(expect(is_share(attrs.ema_decay), "an ema_decay", attrs.ema_decay));
  CALDERA_TRY(expect(attrs.momentum >= 0, "a momentum", attrs.momentum));
  CALDERA_TRY(expect(attrs.weight_decay >= 0, "a weight decay", attrs.weight_decay));
  CALDERA_TRY(expect(attrs.max_norm >= 0, "a greatest norm", attrs.max_norm));
  CALDERA_TRY(expect_scalars(inputs[1]));
  return Shape{};
}

}  // namespace caldera
