// The reference's operators of training, one function each, as operators.h has those of inference;
// each is read beside the comment of its attributes in caldera/training_ops.h. What a node updates
// is passed as the values that it has, to be changed.
#pragma once

#include <span>

#include "graph/reference/operators.h"

namespace caldera::reference {

// The gradient before an activation, of the one after it; v is its output where takes_output(),
// else its input. As PyTorch's: 0 at the corners of ReLU and ReLU6, dy where v is a NaN.
double gradient_through(Activation activation, double dy, double v);

inline double scalar(const Array& scalars, ScalarSlot slot) {
  return scalars.data[static_cast<size_t>(slot)];
}

// What normalizes a channel: statistics [2, C], weight and bias [C].
struct Affine {
  const Array& statistics;
  const Array& weight;
  const Array& bias;
  double eps = 0;

  double mean(int64_t c) const { return statistics.data[static_cast<size_t>(c)]; }
  double var(int64_t c) const { return statistics.data[static_cast<size_t>(weight.n() + c)]; }
  double inverse_deviation(int64_t c) const;
};

Floats batch_statistics(const Array& x);
Floats frozen_statistics(const Array& mean, const Array& var);
Floats normalize(const Array& x, const Affine& affine, const Finish& finish);
void update_running(const UpdateRunningAttrs& attrs, const Array& statistics, const Array& scalars,
                    Floats& running_mean, Floats& running_var);
// `gradients` are weight.grad and bias.grad, as far as they are asked for.
Floats normalize_sums(const NormalizeSumsAttrs& attrs, const Array& dy, const Array& x,
                      const Affine& affine, std::span<Floats> gradients);
// `sums` is null where the statistics are frozen.
Floats normalize_gradient(Activation activation, const Array& dy, const Array& x,
                          const Affine& affine, const Array* sums);

Floats activation_gradient(const ActivationGradientAttrs& attrs, const Array& dy, const Array& v);
// `weight` is the shape of the gradient.
void conv2d_weight_gradient(const Conv2dWeightGradientAttrs& attrs, const Array& x, const Array& dy,
                            const Shape& weight, Floats& gradient);
void bias_gradient(const Array& dy, Floats& gradient);
Floats max_pool2d_gradient(const MaxPool2dAttrs& pool, const Array& dy, const Array& places,
                           const Shape& output);
Floats avg_pool2d_gradient(const AvgPool2dAttrs& pool, const Array& dy, const Shape& output);
Floats adaptive_avg_pool2d_gradient(const Array& dy, const Shape& output);
Floats sum_pixels(const Array& x);
Floats dropout_mask(const DropoutMaskAttrs& attrs, const Array& x, const Array& scalars);

Floats upsample_zeros(const UpsampleZerosAttrs& attrs, const Array& x, const Shape& output);
Floats interleave(const InterleaveAttrs& attrs, const std::vector<Array>& inputs,
                  const Shape& output);
Floats transpose_weight(const TransposeWeightAttrs& attrs, const Array& weight);

Floats softmax_gradient(const Array& dy, const Array& y);
Floats cross_entropy(const Array& logits, const Array& targets);
Floats cross_entropy_gradient(const Array& logits, const Array& targets, const Array& scalars);

// `inputs` are the gradients and, last, the scalars.
Floats gradient_norms(std::span<const Array> inputs);
void optimizer(const OptimizerAttrs& attrs, const Array& norms, const Array& scalars,
               std::span<Floats> updates);

}  // namespace caldera::reference
