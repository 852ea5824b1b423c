// One step of SGD, Adam or AdamW over all parameters, as torch.optim makes it, with clipping as
// torch.nn.utils.clip_grad_norm_ does it; and the norms that both need.
#include <algorithm>
#include <cmath>

#include "graph/reference/training_operators.h"

namespace caldera::reference {
namespace {

// What holds for all elements of a step.
struct Step {
  const OptimizerAttrs& attrs;
  double learning_rate = 0;
  double bias_correction1 = 1;
  double bias_correction2 = 1;
  double gradient_scale = 1;  // Takes the loss scale away, and clips.

  // The parameter after the step, and what the optimizer keeps of it, changed.
  double sgd(double p, double g, float* velocity) const {
    g += attrs.weight_decay * p;
    if (velocity) {
      const double v = double{attrs.momentum} * *velocity + g;
      *velocity = static_cast<float>(v);
      g = attrs.nesterov ? g + attrs.momentum * v : v;
    }
    return p - learning_rate * g;
  }
  double adam(double p, double g, float& exp_avg, float& exp_avg_sq) const {
    const double decay = attrs.weight_decay;
    if (attrs.kind == OptimizerKind::kAdamW) {
      p -= learning_rate * decay * p;
    } else {
      g += decay * p;
    }
    const double beta1 = attrs.beta1, beta2 = attrs.beta2;
    const double m = beta1 * exp_avg + (1 - beta1) * g;
    const double v = beta2 * exp_avg_sq + (1 - beta2) * g * g;
    exp_avg = static_cast<float>(m);
    exp_avg_sq = static_cast<float>(v);
    const double deviation = std::sqrt(v / bias_correction2) + attrs.eps;
    return p - learning_rate * (m / bias_correction1) / deviation;
  }
};

double clip_scale(double max_norm, double squares) {
  return max_norm > 0 ? std::min(1.0, max_norm / (std::sqrt(squares) + 1e-6)) : 1.0;
}

}  // namespace

Floats gradient_norms(std::span<const Array> inputs) {
  const double loss_scale = scalar(inputs.back(), ScalarSlot::kLossScale);
  double all = 0;
  Floats norms(1);
  for (const Array& gradient : inputs.first(inputs.size() - 1)) {
    double squares = 0;
    for (const float g : gradient.data) squares += (g / loss_scale) * (g / loss_scale);
    norms.push_back(static_cast<float>(squares));
    all += squares;
  }
  norms[0] = static_cast<float>(all);
  return norms;
}

void optimizer(const OptimizerAttrs& attrs, const Array& norms, const Array& scalars,
               std::span<Floats> updates) {
  if (scalar(scalars, ScalarSlot::kApply) == 0) return;
  const auto slots = static_cast<size_t>(optimizer_slots(attrs));
  const size_t parameters = updates.size() / slots;
  const double squares = norms.data[0];
  const Step step{attrs, scalar(scalars, ScalarSlot::kLearningRate),
                  scalar(scalars, ScalarSlot::kBiasCorrection1),
                  scalar(scalars, ScalarSlot::kBiasCorrection2),
                  clip_scale(attrs.max_norm, squares) / scalar(scalars, ScalarSlot::kLossScale)};
  for (size_t i = 0; i < parameters; ++i) {
    // The parameter's value of each kind.
    const auto kind = [&](size_t slot) -> Floats& { return updates[slot * parameters + i]; };
    Floats& parameter = kind(0);
    Floats& gradient = kind(1);
    if (std::isfinite(squares)) {
      for (size_t e = 0; e < parameter.size(); ++e) {
        const double g = gradient[e] * step.gradient_scale;
        double p = parameter[e];
        if (attrs.kind == OptimizerKind::kSgd) {
          p = step.sgd(p, g, attrs.momentum != 0 ? &kind(2)[e] : nullptr);
        } else {
          p = step.adam(p, g, kind(2)[e], kind(3)[e]);
        }
        parameter[e] = static_cast<float>(p);
        if (attrs.ema_decay != 0) {
          float& average = kind(slots - 1)[e];
          average = static_cast<float>(attrs.ema_decay * double{average} +
                                       (1 - double{attrs.ema_decay}) * p);
        }
      }
    }
    std::fill(gradient.begin(), gradient.end(), 0.0f);
  }
}

}  // namespace caldera::reference
