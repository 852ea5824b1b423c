// Attributes of the operators that training adds to a graph: what gradients, losses, batch
// statistics and optimizers are made of. make_training_graph() (caldera/autodiff.h) places them;
// few programs do so themselves. Part of caldera/graph.h.
//
// dX is the gradient of the loss with respect to X, and has X's shape. A "statistics" value is
// [2, C]: two numbers a channel. "Scalars" is the graph's input of what changes by step, [1,
// kScalarCount]; ScalarSlot says what stands where.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace caldera {

// What a training step is told beside its images, each a float.
enum class ScalarSlot : uint8_t {
  kLearningRate,
  kApply,            // 1: the optimizers update; 0: this step only adds to the gradients.
  kLossScale,        // Gradients are this many times too large until an optimizer takes them.
  kBiasCorrection1,  // Adam's 1 - beta1^t, for the step t = 1, 2, ...
  kBiasCorrection2,
  kStatisticsShare,  // Of new batch statistics in running ones, where the average is cumulative.
  kSeed,             // Whole numbers under 2^24, so that a float holds them.
  kStep,
};
constexpr int64_t kScalarCount = 8;

// Mean and biased variance of every channel over batch and pixels. Input: x. Output: statistics.
struct BatchStatisticsAttrs {};

// The same from running statistics, so that frozen batch-norm has a gradient too. Inputs:
// running_mean, running_var [C]. Output: statistics.
struct FrozenStatisticsAttrs {};

// y = activation((x - mean) / sqrt(var + eps) * weight + bias + residual).
// Inputs: x, statistics, weight, bias, [residual].
struct NormalizeAttrs {
  float eps = 1e-5f;
  Epilogue epilogue{};
};

// running = (1 - momentum) * running + momentum * batch, the variance unbiased: of `count` values.
// Inputs: statistics, scalars. Updates: running_mean, running_var.
struct UpdateRunningAttrs {
  float momentum = 0.1f;
  bool cumulative = false;  // The scalars' kStatisticsShare in place of momentum.
  int64_t count = 1;
};

// With z = xhat * weight + bias and dz = dy * activation'(z): the sums over batch and pixels of dz
// and of dz * xhat, which are the gradients of bias and weight. Inputs: dy, x, statistics, weight,
// bias. Output: statistics. Updates, by adding: weight.grad and bias.grad, of those that are told.
struct NormalizeSumsAttrs {
  float eps = 1e-5f;
  Activation activation = Activation::kNone;
  bool weight_gradient = false;
  bool bias_gradient = false;
};

// dx of Normalize without a residual. Inputs: dy, x, statistics, weight, bias, and sums unless
// frozen: statistics of the batch depend on x too, running ones do not.
struct NormalizeGradientAttrs {
  float eps = 1e-5f;
  Activation activation = Activation::kNone;
  bool frozen = false;
};

// dy * activation'. Inputs: dy, v: the activation's output for ReLU, ReLU6 and sigmoid, its input
// for the others (takes_output()).
struct ActivationGradientAttrs {
  Activation activation = Activation::kRelu;
};
constexpr bool takes_output(Activation activation) {
  return activation == Activation::kRelu || activation == Activation::kRelu6 ||
         activation == Activation::kSigmoid;
}

// Inputs: x, dy. Updates, by adding: weight.grad [O, I / groups, KH, KW]. For linear layers x and
// dy are [N, I] and [N, O], the weight [O, I].
struct Conv2dWeightGradientAttrs {
  Size2d stride{1, 1};
  Size2d padding{0, 0};
  Size2d dilation{1, 1};
  int32_t groups = 1;
};

// Sums over batch and pixels. Input: dy. Updates, by adding: bias.grad [C].
struct BiasGradientAttrs {};

// [O, I / groups, KH, KW] -> [I, O / groups, TH, TW] with height and width mirrored, by which the
// gradient of a convolution's input is a convolution itself. [O, I] -> [I, O]. Of the filter's taps
// every `stride`th from `first` on is taken: all, unless the convolution has strides.
struct TransposeWeightAttrs {
  int32_t groups = 1;
  Size2d first{0, 0};
  Size2d stride{1, 1};
};

// y[:, :, h * stride.h + offset.h, w * stride.w + offset.w] = x[:, :, h, w] where that lies inside
// `size`, and 0 elsewhere.
struct UpsampleZerosAttrs {
  Size2d stride{2, 2};
  Size2d offset{0, 0};
  Size2d size{1, 1};
};

// An image put together of its phases: y[:, :, i * stride.h + at.h, j * stride.w + at.w] =
// x[:, :, i + from.h, j + from.w] wherever the left side lies inside `size`. Inputs: an x a phase,
// which together reach every pixel.
struct InterleaveAttrs {
  struct Phase {
    Size2d at{0, 0};
    Size2d from{0, 0};
  };
  Size2d stride{2, 2};
  Size2d size{1, 1};
  std::vector<Phase> phases{};
};

// dx, of `input` pixels. Inputs: dy, and the places that the pool gives as its second output.
struct MaxPool2dGradientAttrs {
  MaxPool2dAttrs pool{};
  Size2d input{1, 1};
};

// dx, of `input` pixels. Input: dy.
struct AvgPool2dGradientAttrs {
  AvgPool2dAttrs pool{};
  Size2d input{1, 1};
};
struct AdaptiveAvgPool2dGradientAttrs {
  Size2d input{1, 1};
};

// The sum over pixels: [N, C, H, W] -> [N, C, 1, 1].
struct SumPixelsAttrs {};

// [N, C * H * W] -> [N, C, H, W]: Flatten undone.
struct UnflattenAttrs {
  int32_t channels = 1;
  Size2d size{1, 1};
};

// Inverted dropout: x / (1 - p) where a random number drawn for (seed, step, `stream`, element) is
// at least p, else 0. Inputs: x, scalars. Applied to dy it is its own gradient.
struct DropoutMaskAttrs {
  float probability = 0.5f;
  uint32_t stream = 0;
};

// Input: dy, y. dx = y * (dy - sum over channels of dy * y).
struct SoftmaxGradientAttrs {};

// loss[n] = -sum over c of target[n, c] * log_softmax(logits)[n, c]. Inputs: logits, targets,
// [N, C] both. Output: [N, 1]. Targets bear label smoothing, weights and the division by the batch:
// make_targets() (caldera/targets.h).
struct CrossEntropyAttrs {};
// dlogits = loss_scale * (softmax(logits) * sum over c of target - target).
// Inputs: logits, targets, scalars.
struct CrossEntropyGradientAttrs {};

// Sums of squares, of gradients without their loss scale. Inputs: gradients and, last, scalars.
// Output: [1, 1 + gradients]: of all, then of each.
struct GradientNormsAttrs {};

enum class OptimizerKind : uint8_t { kSgd, kAdam, kAdamW };

// One step, as PyTorch's optimizer of that name makes it, and gradients set to zero after it.
// Nothing happens where the scalars' kApply is 0; gradients alone are cleared where their norm is
// no finite number. Inputs: norms, scalars. Updates: of n parameters, all n of one kind before the
// next: parameters, gradients, then SGD's momentum buffers (unless momentum is 0) or Adam's
// exp_avg and exp_avg_sq, then the moving average of the parameters (unless ema_decay is 0).
struct OptimizerAttrs {
  OptimizerKind kind = OptimizerKind::kSgd;
  float momentum = 0;  // SGD. PyTorch's v = momentum * v + g; p -= lr * v.
  bool nesterov = false;
  float beta1 = 0.9f;  // Adam.
  float beta2 = 0.999f;
  float eps = 1e-8f;
  float weight_decay = 0;
  float max_norm = 0;  // Gradients are scaled down to this norm of all of them; 0: never.
  float ema_decay = 0;
};
// Kinds of values in an optimizer's updates: parameters, gradients, and what it keeps of each.
constexpr int optimizer_slots(const OptimizerAttrs& attrs) {
  const int kept = attrs.kind == OptimizerKind::kSgd ? attrs.momentum != 0 : 2;
  return 2 + kept + (attrs.ema_decay != 0);
}

}  // namespace caldera
