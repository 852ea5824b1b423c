// Every operator's shape rule. A rule checks what its operator needs of its inputs and says what
// does not fit; the caller adds the node's name. It gives the shape of the only output, empty where
// the operator only updates, or a list of several (infer_shapes() makes a list of either).
#pragma once

#include <string_view>
#include <vector>

#include "caldera/graph.h"

namespace caldera {

Result<Shape> infer(const Conv2dAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const BatchNormAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const ActivationAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const AddAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const MultiplyAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const ConcatAttrs& attrs, const std::vector<Shape>& inputs);
Result<std::vector<Shape>> infer(const MaxPool2dAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const AvgPool2dAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const AdaptiveAvgPool2dAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const LinearAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const SoftmaxAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const PadAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const SubsampleAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const FlattenAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const ConvertAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const DropoutAttrs& attrs, const std::vector<Shape>& inputs);
// Of training; an empty shape where an operator only updates.
Result<Shape> infer(const BatchStatisticsAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const FrozenStatisticsAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const NormalizeAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const UpdateRunningAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const NormalizeSumsAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const NormalizeGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const ActivationGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const Conv2dWeightGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const BiasGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const TransposeWeightAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const UpsampleZerosAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const InterleaveAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const MaxPool2dGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const AvgPool2dGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const AdaptiveAvgPool2dGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const SumPixelsAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const UnflattenAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const DropoutMaskAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const SoftmaxGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const CrossEntropyAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const CrossEntropyGradientAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const GradientNormsAttrs& attrs, const std::vector<Shape>& inputs);
Result<Shape> infer(const OptimizerAttrs& attrs, const std::vector<Shape>& inputs);

// An error unless a node may update values of these shapes: as many, and such, as the comment of
// its attributes says. `inputs` are those that infer() found right.
Status check_updates(const Attrs& attrs, const std::vector<Shape>& inputs,
                     const std::vector<Shape>& updates);

// Shared by the rules.
Error shape_error(std::string message);
// An error unless there are `count` inputs.
Status expect_inputs(const std::vector<Shape>& inputs, size_t count);
// An error unless `shape` is [N, C, H, W].
Status expect_image(const Shape& shape);
// An error unless `shape` is [N, C, H, W] or [N, F].
Status expect_activation(const Shape& shape);
// An error unless the epilogue's residual, the last input, has the shape of the output.
Status expect_residual(const Epilogue& epilogue, const std::vector<Shape>& inputs,
                       const Shape& output);
// One extent of a convolution's or pool's output; an error where the window does not fit.
Result<int64_t> window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                             int64_t dilation, bool ceil_mode);

}  // namespace caldera
