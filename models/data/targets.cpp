// Targets in double, rounded once. The mean's divisor is the same with and without mixup, since a
// permutation leaves the labels of a batch what they are.
#include "caldera/targets.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace caldera {
namespace {

Error invalid(const std::string& what) {
  return {ErrorCode::kInvalidInput, "targets: " + what};
}

Status check(std::span<const int32_t> labels, int64_t classes, const TargetOptions& options,
             const Mixup* mixup) {
  if (classes < 1) return invalid("there must be at least one class");
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1)) {
    return invalid(
        fmt::format("a label smoothing of {} is not from 0 to 1", options.label_smoothing));
  }
  const std::vector<float>& weights = options.class_weights;
  if (!weights.empty() && std::cmp_not_equal(weights.size(), classes)) {
    return invalid(
        fmt::format("{} class weights for {} classes; give one a class", weights.size(), classes));
  }
  for (const float weight : weights) {
    if (!(weight >= 0 && std::isfinite(weight))) {
      return invalid(fmt::format("a class weight of {} is not a number of at least 0", weight));
    }
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == options.ignore_index || (labels[i] >= 0 && labels[i] < classes)) continue;
    return invalid(
        fmt::format("sample {} has the label {}, and there are {} classes", i, labels[i], classes));
  }
  if (!mixup) return {};
  if (mixup->weight.size() != labels.size() || mixup->partner.size() != labels.size()) {
    return invalid(fmt::format("mixup is of {} samples, and there are {} labels",
                               mixup->weight.size(), labels.size()));
  }
  for (const int32_t partner : mixup->partner) {
    if (partner < 0 || std::cmp_greater_equal(partner, labels.size())) {
      return invalid(fmt::format("mixup names sample {} of {}", partner, labels.size()));
    }
  }
  return {};
}

}  // namespace

Result<Tensor> make_targets(std::span<const int32_t> labels, int64_t classes,
                            const TargetOptions& options, const Mixup* mixup) {
  CALDERA_TRY(check(labels, classes, options, mixup));
  return detail::no_throw<Result<Tensor>>("targets", [&] {
    const auto width = static_cast<size_t>(classes);
    const auto weight = [&](size_t c) {
      return options.class_weights.empty() ? 1.0 : double{options.class_weights[c]};
    };
    const auto counts = [&](int32_t label) { return label != options.ignore_index; };
    double divisor = 0;
    for (const int32_t label : labels) {
      if (counts(label)) divisor += weight(static_cast<size_t>(label));
    }
    std::vector<double> rows(labels.size() * width);
    // Adds `share` of what the label alone would give.
    const auto add = [&](size_t row, int32_t label, double share) {
      if (!counts(label) || divisor == 0) return;
      double* to = rows.data() + row * width;
      const double smoothed = options.label_smoothing / static_cast<double>(classes);
      for (size_t c = 0; c < width; ++c) to[c] += share * smoothed * weight(c) / divisor;
      const auto own = static_cast<size_t>(label);
      to[own] += share * (1 - options.label_smoothing) * weight(own) / divisor;
    };
    for (size_t i = 0; i < labels.size(); ++i) {
      const double own = mixup ? double{mixup->weight[i]} : 1.0;
      add(i, labels[i], own);
      if (mixup) add(i, labels[static_cast<size_t>(mixup->partner[i])], 1 - own);
    }
    return Tensor::from_floats({static_cast<int64_t>(labels.size()), classes},
                               std::vector<float>(rows.begin(), rows.end()));
  });
}

}  // namespace caldera
