// What each operator may update: how many values, of which shapes (caldera/training_ops.h).
#include <fmt/format.h>

#include "graph/ops/ops.h"

namespace caldera {

namespace {

using Shapes = std::vector<Shape>;

Status expect_count(const Shapes& updates, size_t count) {
  if (updates.size() == count) return {};
  return shape_error(fmt::format("updates {} values where {} are needed", updates.size(), count));
}

Status expect_update(const Shape& update, const Shape& needed) {
  if (update == needed) return {};
  return shape_error(
      fmt::format("updates a value {} where {} is needed", to_string(update), to_string(needed)));
}

// Most operators update nothing.
template <typename OpAttrs>
Status check(const OpAttrs&, const Shapes&, const Shapes& updates) {
  return expect_count(updates, 0);
}

Status check(const UpdateRunningAttrs&, const Shapes& inputs, const Shapes& updates) {
  CALDERA_TRY(expect_count(updates, 2));
  CALDERA_TRY(expect_update(updates[0], {inputs[0][1]}));
  return expect_update(updates[1], {inputs[0][1]});
}

Status check(const NormalizeSumsAttrs& attrs, const Shapes& inputs, const Shapes& updates) {
  CALDERA_TRY(expect_count(updates, size_t{attrs.weight_gradient} + attrs.bias_gradient));
  // Weight and bias have one shape.
  for (const Shape& update : updates) CALDERA_TRY(expect_update(update, inputs[3]));
  return {};
}

Status check(const Conv2dWeightGradientAttrs& attrs, const Shapes& inputs, const Shapes& updates) {
  CALDERA_TRY(expect_count(updates, 1));
  const Shape& x = inputs[0];
  const Shape& dy = inputs[1];
  const Shape& weight = updates[0];
  if (x.size() == 2) return expect_update(weight, {dy[1], x[1]});
  // The convolution of x by such a weight must make what dy is the gradient of.
  const Conv2dAttrs convolution{attrs.stride, attrs.padding, attrs.dilation, attrs.groups};
  CALDERA_TRY_ASSIGN(const Shape made, infer(convolution, {x, weight}));
  if (made == dy) return {};
  return shape_error(fmt::format(
      "updates a gradient {}, by which {} would make {}, but the gradient that it reads is {}",
      to_string(weight), to_string(x), to_string(made), to_string(dy)));
}

Status check(const BiasGradientAttrs&, const Shapes& inputs, const Shapes& updates) {
  CALDERA_TRY(expect_count(updates, 1));
  return expect_update(updates[0], {inputs[0][1]});
}

Status check(const OptimizerAttrs& attrs, const Shapes& inputs, const Shapes& updates) {
  const auto slots = static_cast<size_t>(optimizer_slots(attrs));
  if (updates.empty() || updates.size() % slots != 0) {
    return shape_error(fmt::format("updates {} values, which is no whole number of {} a parameter",
                                   updates.size(), slots));
  }
  const size_t parameters = updates.size() / slots;
  for (size_t i = parameters; i < updates.size(); ++i) {
    CALDERA_TRY(expect_update(updates[i], updates[i % parameters]));
  }
  // Norms may be of more gradients than are updated here, since clipping counts them all.
  const Shape& norms = inputs[0];
  if (norms.size() == 2 && norms[0] == 1 && norms[1] > static_cast<int64_t>(parameters)) return {};
  return shape_error(fmt::format("needs norms [1, 1 + gradients] of {} gradients or more, got {}",
                                 parameters, to_string(norms)));
}

}  // namespace

Status check_updates(const Attrs& attrs, const std::vector<Shape>& inputs,
                     const std::vector<Shape>& updates) {
  return std::visit([&](const auto& op) { return check(op, inputs, updates); }, attrs);
}

}  // namespace caldera
