// The table of operators: their names, in the order of OpKind and of Attrs.
#include <array>

#include "caldera/graph.h"

#include "graph/ops/ops.h"

namespace caldera {

namespace {

struct OpRow {
  OpKind kind;
  std::string_view name;
};

constexpr std::array kOps = {
    OpRow{OpKind::kConv2d, "conv2d"},
    OpRow{OpKind::kBatchNorm, "batch_norm"},
    OpRow{OpKind::kActivation, "activation"},
    OpRow{OpKind::kAdd, "add"},
    OpRow{OpKind::kMultiply, "multiply"},
    OpRow{OpKind::kConcat, "concat"},
    OpRow{OpKind::kMaxPool2d, "max_pool2d"},
    OpRow{OpKind::kAvgPool2d, "avg_pool2d"},
    OpRow{OpKind::kAdaptiveAvgPool2d, "adaptive_avg_pool2d"},
    OpRow{OpKind::kLinear, "linear"},
    OpRow{OpKind::kSoftmax, "softmax"},
    OpRow{OpKind::kPad, "pad"},
    OpRow{OpKind::kSubsample, "subsample"},
    OpRow{OpKind::kFlatten, "flatten"},
    OpRow{OpKind::kDropout, "dropout"},
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

Result<Shape> infer_shape(const Attrs& attrs, const std::vector<Shape>& inputs) {
  return std::visit([&](const auto& op) { return infer(op, inputs); }, attrs);
}

}  // namespace caldera
