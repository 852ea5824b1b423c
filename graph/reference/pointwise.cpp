// Operators that map each element, or each channel's, by itself: batch-norm, activations, add,
// multiply; and softmax, which needs a pixel's channels together.
#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/reference/operators.h"

namespace caldera::reference {

// The comparisons let a NaN through, as PyTorch's do.
double activate(Activation activation, double x) {
  const auto relu6 = [](double v) { return v < 0 ? 0 : v > 6 ? 6 : v; };
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kRelu6:
      return relu6(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kHardSwish:
      return x * relu6(x + 3) / 6;
  }
  return x;
}

Floats batch_norm(const BatchNormAttrs& attrs, const Array& x, const Array& weight,
                  const Array& bias, const Array& mean, const Array& var, const Finish& finish) {
  Floats y(x.data.size());
  const int64_t plane = x.h() * x.w();
  for (size_t i = 0; i < y.size(); ++i) {
    const auto c = static_cast<size_t>(static_cast<int64_t>(i) / plane % x.c());
    const double scale = weight.data[c] / std::sqrt(double{var.data[c]} + double{attrs.eps});
    const double centered = double{x.data[i]} - double{mean.data[c]};
    y[i] = finish(centered * scale + bias.data[c], static_cast<int64_t>(i));
  }
  return y;
}

Floats activation(const ActivationAttrs& attrs, const Array& x) {
  Floats y(x.data.size());
  std::transform(x.data.begin(), x.data.end(), y.begin(), [&](float value) {
    return static_cast<float>(activate(attrs.activation, value));
  });
  return y;
}

namespace {

// The element of b that stands against element i of a; b has a's shape, or is [N, C, 1, 1].
size_t gate_index(const Array& a, const Array& b, size_t i) {
  return b.data.size() == a.data.size() ? i : i / static_cast<size_t>(a.h() * a.w());
}

}  // namespace

Floats add(const AddAttrs& attrs, const Array& a, const Array& b) {
  Floats y(a.data.size());
  for (size_t i = 0; i < y.size(); ++i) {
    const double sum = double{a.data[i]} + double{b.data[gate_index(a, b, i)]};
    y[i] = static_cast<float>(activate(attrs.activation, sum));
  }
  return y;
}

Floats multiply(const MultiplyAttrs& attrs, const Array& a, const Array& b) {
  Floats y(a.data.size());
  for (size_t i = 0; i < y.size(); ++i) {
    const double product = double{a.data[i]} * double{b.data[gate_index(a, b, i)]};
    y[i] = static_cast<float>(activate(attrs.activation, product));
  }
  return y;
}

Floats softmax(const Array& x) {
  Floats y(x.data.size());
  const int64_t plane = x.h() * x.w();
  for (int64_t n = 0; n < x.n(); ++n) {
    for (int64_t p = 0; p < plane; ++p) {
      // The greatest is taken off first, so that no exponential overflows.
      double greatest = -std::numeric_limits<double>::infinity();
      for (int64_t c = 0; c < x.c(); ++c) greatest = std::max(greatest, double{x.plane(n, c)[p]});
      double sum = 0;
      for (int64_t c = 0; c < x.c(); ++c) sum += std::exp(x.plane(n, c)[p] - greatest);
      for (int64_t c = 0; c < x.c(); ++c) {
        y[static_cast<size_t>((n * x.c() + c) * plane + p)] =
            static_cast<float>(std::exp(x.plane(n, c)[p] - greatest) / sum);
      }
    }
  }
  return y;
}

}  // namespace caldera::reference
