// Softmax's gradient, and cross-entropy with its own: over a pixel's or an image's channels.
#include <algorithm>
#include <cmath>

#include "graph/reference/training_operators.h"

namespace caldera::reference {
namespace {

// log(sum over classes of exp(logits)), the greatest taken off first so that none overflows.
double log_sum_exp(const float* logits, int64_t classes) {
  const double greatest = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) sum += std::exp(logits[c] - greatest);
  return greatest + std::log(sum);
}

}  // namespace

Floats softmax_gradient(const Array& dy, const Array& y) {
  Floats dx(y.data.size());
  const int64_t plane = y.h() * y.w();
  for (int64_t n = 0; n < y.n(); ++n) {
    for (int64_t p = 0; p < plane; ++p) {
      double sum = 0;
      for (int64_t c = 0; c < y.c(); ++c) sum += double{dy.plane(n, c)[p]} * y.plane(n, c)[p];
      for (int64_t c = 0; c < y.c(); ++c) {
        dx[static_cast<size_t>((n * y.c() + c) * plane + p)] =
            static_cast<float>(y.plane(n, c)[p] * (dy.plane(n, c)[p] - sum));
      }
    }
  }
  return dx;
}

Floats cross_entropy(const Array& logits, const Array& targets) {
  Floats loss;
  for (int64_t n = 0; n < logits.n(); ++n) {
    const float* row = logits.plane(n, 0);
    const double normalizer = log_sum_exp(row, logits.c());
    double sum = 0;
    for (int64_t c = 0; c < logits.c(); ++c) {
      sum -= targets.plane(n, 0)[c] * (row[c] - normalizer);
    }
    loss.push_back(static_cast<float>(sum));
  }
  return loss;
}

Floats cross_entropy_gradient(const Array& logits, const Array& targets, const Array& scalars) {
  const double loss_scale = scalar(scalars, ScalarSlot::kLossScale);
  Floats gradient;
  for (int64_t n = 0; n < logits.n(); ++n) {
    const float* row = logits.plane(n, 0);
    const float* target = targets.plane(n, 0);
    const double normalizer = log_sum_exp(row, logits.c());
    double weight = 0;
    for (int64_t c = 0; c < logits.c(); ++c) weight += target[c];
    for (int64_t c = 0; c < logits.c(); ++c) {
      const double softmax = std::exp(row[c] - normalizer);
      gradient.push_back(static_cast<float>(loss_scale * (softmax * weight - target[c])));
    }
  }
  return gradient;
}

}  // namespace caldera::reference
