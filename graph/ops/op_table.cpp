// The table of operators, in the order of OpKind and of Attrs: name and kernel variants. Shape
// rules are found by the type of the attributes (ops.h).
#include <algorithm>
#include <array>

#include "caldera/graph.h"
#include "caldera/session.h"

#include "graph/kernel.h"
#include "graph/ops/ops.h"

namespace caldera {

namespace {

struct OpRow {
  OpKind kind;
  std::string_view name;
  std::span<const KernelVariant> (*kernels)();
};

constexpr std::array kOps = {
    OpRow{OpKind::kConv2d, "conv2d", conv2d_kernels},
    OpRow{OpKind::kBatchNorm, "batch_norm", batch_norm_kernels},
    OpRow{OpKind::kActivation, "activation", activation_kernels},
    OpRow{OpKind::kAdd, "add", add_kernels},
    OpRow{OpKind::kMultiply, "multiply", multiply_kernels},
    OpRow{OpKind::kConcat, "concat", concat_kernels},
    OpRow{OpKind::kMaxPool2d, "max_pool2d", max_pool2d_kernels},
    OpRow{OpKind::kAvgPool2d, "avg_pool2d", avg_pool2d_kernels},
    OpRow{OpKind::kAdaptiveAvgPool2d, "adaptive_avg_pool2d", adaptive_avg_pool2d_kernels},
    OpRow{OpKind::kLinear, "linear", linear_kernels},
    OpRow{OpKind::kSoftmax, "softmax", softmax_kernels},
    OpRow{OpKind::kPad, "pad", pad_kernels},
    OpRow{OpKind::kSubsample, "subsample", subsample_kernels},
    OpRow{OpKind::kFlatten, "flatten", flatten_kernels},
    OpRow{OpKind::kConvert, "convert", convert_kernels},
    OpRow{OpKind::kDropout, "dropout", dropout_kernels},
    OpRow{OpKind::kBatchStatistics, "batch_statistics", batch_statistics_kernels},
    OpRow{OpKind::kFrozenStatistics, "frozen_statistics", frozen_statistics_kernels},
    OpRow{OpKind::kNormalize, "normalize", normalize_kernels},
    OpRow{OpKind::kUpdateRunning, "update_running", update_running_kernels},
    OpRow{OpKind::kNormalizeSums, "normalize_sums", normalize_sums_kernels},
    OpRow{OpKind::kNormalizeGradient, "normalize_gradient", normalize_gradient_kernels},
    OpRow{OpKind::kActivationGradient, "activation_gradient", activation_gradient_kernels},
    OpRow{OpKind::kConv2dWeightGradient, "conv2d_weight_gradient", conv2d_weight_gradient_kernels},
    OpRow{OpKind::kBiasGradient, "bias_gradient", bias_gradient_kernels},
    OpRow{OpKind::kTransposeWeight, "transpose_weight", transpose_weight_kernels},
    OpRow{OpKind::kUpsampleZeros, "upsample_zeros", upsample_zeros_kernels},
    OpRow{OpKind::kInterleave, "interleave", interleave_kernels},
    OpRow{OpKind::kMaxPool2dGradient, "max_pool2d_gradient", max_pool2d_gradient_kernels},
    OpRow{OpKind::kAvgPool2dGradient, "avg_pool2d_gradient", avg_pool2d_gradient_kernels},
    OpRow{OpKind::kAdaptiveAvgPool2dGradient, "adaptive_avg_pool2d_gradient",
          adaptive_avg_pool2d_gradient_kernels},
    OpRow{OpKind::kSumPixels, "sum_pixels", sum_pixels_kernels},
    OpRow{OpKind::kUnflatten, "unflatten", unflatten_kernels},
    OpRow{OpKind::kDropoutMask, "dropout_mask", dropout_mask_kernels},
    OpRow{OpKind::kSoftmaxGradient, "softmax_gradient", softmax_gradient_kernels},
    OpRow{OpKind::kCrossEntropy, "cross_entropy", cross_entropy_kernels},
    OpRow{OpKind::kCrossEntropyGradient, "cross_entropy_gradient", cross_entropy_gradient_kernels},
    OpRow{OpKind::kGradientNorms, "gradient_norms", gradient_norms_kernels},
    OpRow{OpKind::kOptimizer, "optimizer", optimizer_kernels},
};
static_assert(kOps.size() == std::variant_size_v<Attrs>);

constexpr bool rows_stand_in_order() {
  for (size_t i = 0; i < kOps.size(); ++i) {
    if (static_cast<size_t>(kOps[i].kind) != i) return false;
  }
  return true;
}
static_assert(rows_stand_in_order());

}  // namespace

std::string_view op_name(OpKind kind) {
  return kOps[static_cast<size_t>(kind)].name;
}

std::span<const KernelVariant> kernel_variants(OpKind kind) {
  return kOps[static_cast<size_t>(kind)].kernels();
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const OpRow& row : kOps) {
    for (const KernelVariant& variant : row.kernels()) {
      if (variant.emit) names.emplace_back(variant.name);  // A view is no choice.
    }
  }
  return names;
}

uint64_t texel_buffer_bytes(const Capabilities& capabilities, Storage storage) {
  const uint64_t vector_bytes = 4 * element_bytes(storage);
  return std::min<uint64_t>(capabilities.max_storage_buffer_range,
                            capabilities.max_texel_buffer_elements * vector_bytes);
}

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return "none";
    case Activation::kRelu:
      return "relu";
    case Activation::kRelu6:
      return "relu6";
    case Activation::kSigmoid:
      return "sigmoid";
    case Activation::kSilu:
      return "silu";
    case Activation::kHardSwish:
      return "hard_swish";
  }
  return "?";
}

namespace {

Result<std::vector<Shape>> as_list(Result<std::vector<Shape>> shapes) {
  return shapes;
}
Result<std::vector<Shape>> as_list(Result<Shape> shape) {
  if (!shape.ok()) return shape.error();
  std::vector<Shape> list;
  if (!shape->empty()) list.push_back(std::move(*shape));
  return list;
}

}  // namespace

Result<std::vector<Shape>> infer_shapes(const Attrs& attrs, const std::vector<Shape>& inputs) {
  return std::visit([&](const auto& op) { return as_list(infer(op, inputs)); }, attrs);
}

std::optional<Storage> fixed_storage(OpKind kind, size_t output) {
  if (kind == OpKind::kMaxPool2d && output == 1) return Storage::kU16;
  return std::nullopt;
}

}  // namespace caldera
