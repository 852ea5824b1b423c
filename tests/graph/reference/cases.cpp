// Reads what case_writer.py wrote.
#include "tests/graph/reference/cases.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace caldera::test {

using nlohmann::json;

namespace {

Size2d size(const json& pair) {
  return {pair.at(0).get<int32_t>(), pair.at(1).get<int32_t>()};
}

Activation activation(const json& attrs) {
  const auto name = attrs.at("activation").get<std::string>();
  for (const Activation a : {Activation::kNone, Activation::kRelu, Activation::kRelu6,
                             Activation::kSigmoid, Activation::kSilu, Activation::kHardSwish}) {
    if (activation_name(a) == name) return a;
  }
  ADD_FAILURE() << "no activation is named '" << name << "'";
  return Activation::kNone;
}

Epilogue epilogue(const json& attrs) {
  return {attrs.at("residual").get<bool>(), activation(attrs)};
}

MaxPool2dAttrs max_pool(const json& a) {
  return {.kernel = size(a.at("kernel")),
          .stride = size(a.at("stride")),
          .padding = size(a.at("padding")),
          .dilation = size(a.at("dilation")),
          .ceil_mode = a.at("ceil_mode")};
}

AvgPool2dAttrs avg_pool(const json& a) {
  return {.kernel = size(a.at("kernel")),
          .stride = size(a.at("stride")),
          .padding = size(a.at("padding")),
          .ceil_mode = a.at("ceil_mode"),
          .count_include_pad = a.at("count_include_pad")};
}

OptimizerAttrs optimizer(const json& a) {
  const std::string kind = a.at("kind");
  return {.kind = kind == "sgd"    ? OptimizerKind::kSgd
                  : kind == "adam" ? OptimizerKind::kAdam
                                   : OptimizerKind::kAdamW,
          .momentum = a.at("momentum"),
          .nesterov = a.at("nesterov"),
          .beta1 = a.at("beta1"),
          .beta2 = a.at("beta2"),
          .eps = a.at("eps"),
          .weight_decay = a.at("weight_decay"),
          .max_norm = a.at("max_norm"),
          .ema_decay = a.at("ema_decay")};
}

Attrs parse_training_attrs(const std::string& op, const json& a) {
  if (op == "batch_statistics") return BatchStatisticsAttrs{};
  if (op == "frozen_statistics") return FrozenStatisticsAttrs{};
  if (op == "normalize") return NormalizeAttrs{.eps = a.at("eps"), .epilogue = epilogue(a)};
  if (op == "update_running") {
    return UpdateRunningAttrs{
        .momentum = a.at("momentum"), .cumulative = a.at("cumulative"), .count = a.at("count")};
  }
  if (op == "normalize_sums") {
    return NormalizeSumsAttrs{.eps = a.at("eps"),
                              .activation = activation(a),
                              .weight_gradient = a.value("weight_gradient", false),
                              .bias_gradient = a.value("bias_gradient", false)};
  }
  if (op == "normalize_gradient") {
    return NormalizeGradientAttrs{
        .eps = a.at("eps"), .activation = activation(a), .frozen = a.at("frozen")};
  }
  if (op == "activation_gradient") return ActivationGradientAttrs{activation(a)};
  if (op == "conv2d_weight_gradient") {
    return Conv2dWeightGradientAttrs{.stride = size(a.at("stride")),
                                     .padding = size(a.at("padding")),
                                     .dilation = size(a.at("dilation")),
                                     .groups = a.at("groups")};
  }
  if (op == "bias_gradient") return BiasGradientAttrs{};
  if (op == "transpose_weight") {
    return TransposeWeightAttrs{.groups = a.at("groups"),
                                .first = size(a.value("first", json{0, 0})),
                                .stride = size(a.value("stride", json{1, 1}))};
  }
  if (op == "upsample_zeros") {
    return UpsampleZerosAttrs{
        .stride = size(a.at("stride")), .offset = size(a.at("offset")), .size = size(a.at("size"))};
  }
  if (op == "interleave") {
    InterleaveAttrs attrs{.stride = size(a.at("stride")), .size = size(a.at("size"))};
    for (const json& phase : a.at("phases")) {
      attrs.phases.push_back({size(phase.at("at")), size(phase.at("start"))});
    }
    return attrs;
  }
  if (op == "max_pool2d_gradient") return MaxPool2dGradientAttrs{max_pool(a), size(a.at("input"))};
  if (op == "avg_pool2d_gradient") return AvgPool2dGradientAttrs{avg_pool(a), size(a.at("input"))};
  if (op == "adaptive_avg_pool2d_gradient") {
    return AdaptiveAvgPool2dGradientAttrs{size(a.at("input"))};
  }
  if (op == "sum_pixels") return SumPixelsAttrs{};
  if (op == "unflatten")
    return UnflattenAttrs{.channels = a.at("channels"), .size = size(a.at("size"))};
  if (op == "dropout_mask") {
    return DropoutMaskAttrs{.probability = a.at("probability"), .stream = a.at("stream")};
  }
  if (op == "softmax_gradient") return SoftmaxGradientAttrs{};
  if (op == "cross_entropy") return CrossEntropyAttrs{};
  if (op == "cross_entropy_gradient") return CrossEntropyGradientAttrs{};
  if (op == "gradient_norms") return GradientNormsAttrs{};
  if (op == "optimizer") return optimizer(a);
  ADD_FAILURE() << "no operator is named '" << op << "'";
  return DropoutAttrs{};
}

}  // namespace

Attrs parse_attrs(const std::string& op, const json& a) {
  if (op == "conv2d") {
    return Conv2dAttrs{.stride = size(a.at("stride")),
                       .padding = size(a.at("padding")),
                       .dilation = size(a.at("dilation")),
                       .groups = a.at("groups"),
                       .bias = a.at("bias"),
                       .epilogue = epilogue(a)};
  }
  if (op == "batch_norm") return BatchNormAttrs{.eps = a.at("eps"), .epilogue = epilogue(a)};
  if (op == "activation") return ActivationAttrs{activation(a)};
  if (op == "add") return AddAttrs{activation(a)};
  if (op == "multiply") return MultiplyAttrs{activation(a)};
  if (op == "concat") return ConcatAttrs{};
  if (op == "max_pool2d") return max_pool(a);
  if (op == "avg_pool2d") return avg_pool(a);
  if (op == "adaptive_avg_pool2d") return AdaptiveAvgPool2dAttrs{size(a.at("output"))};
  if (op == "linear") return LinearAttrs{.bias = a.at("bias"), .epilogue = epilogue(a)};
  if (op == "softmax") return SoftmaxAttrs{};
  if (op == "pad") {
    return PadAttrs{.channels_before = a.at("channels_before"),
                    .channels_after = a.at("channels_after"),
                    .top = a.at("top"),
                    .bottom = a.at("bottom"),
                    .left = a.at("left"),
                    .right = a.at("right")};
  }
  if (op == "subsample") return SubsampleAttrs{size(a.at("stride"))};
  if (op == "flatten") return FlattenAttrs{};
  if (op == "convert") {
    for (const Storage to : {Storage::kF32, Storage::kF16, Storage::kBf16}) {
      if (a.at("to") == storage_name(to)) return ConvertAttrs{to};
    }
  }
  if (op == "dropout") return DropoutAttrs{a.at("probability")};
  return parse_training_attrs(op, a);
}

Cases::Cases() {
  const std::filesystem::path folder = CALDERA_REFERENCE_CASES;
  std::ifstream cases(folder / "cases.json");
  std::ifstream data(folder / "data.bin", std::ios::binary | std::ios::ate);
  if (!cases || !data) return;
  all_ = json::parse(cases);
  data_.resize(static_cast<size_t>(data.tellg()) / sizeof(float));
  data.seekg(0);
  data.read(reinterpret_cast<char*>(data_.data()),
            static_cast<std::streamsize>(data_.size() * sizeof(float)));
}

std::vector<float> Cases::values(const json& tensor) const {
  const auto begin = data_.begin() + tensor.at("offset").get<int64_t>();
  return {begin, begin + element_count(tensor.at("shape").get<Shape>())};
}

const Cases& cases() {
  static const Cases loaded;
  return loaded;
}

}  // namespace caldera::test
