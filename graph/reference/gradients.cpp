// Gradients of convolutions, linear layers, pools, activations and dropout. A pool's gradient walks
// the outputs as the pool does and hands each dy to the pixels that its window read.
#include <cmath>

#include "graph/philox.h"
#include "graph/reference/training_operators.h"
#include "graph/reference/windows.h"

namespace caldera::reference {

namespace {

double activation_slope(Activation activation, double v) {
  switch (activation) {
    case Activation::kNone:
      return 1;
    case Activation::kRelu:
      return v <= 0 ? 0 : 1;
    case Activation::kRelu6:
      return v <= 0 || v >= 6 ? 0 : 1;
    case Activation::kSigmoid:
      return v * (1 - v);
    case Activation::kSilu: {
      const double sigmoid = 1 / (1 + std::exp(-v));
      return sigmoid * (1 + v * (1 - sigmoid));
    }
    case Activation::kHardSwish:
      return v < -3 ? 0 : v <= 3 ? v / 3 + 0.5 : 1;
  }
  return 1;
}

}  // namespace

// PyTorch's: where they are closed, those that clip give 0 whatever dy is, be it a NaN.
double gradient_through(Activation activation, double dy, double v) {
  const double slope = activation_slope(activation, v);
  const bool clips = activation == Activation::kRelu || activation == Activation::kRelu6 ||
                     (activation == Activation::kHardSwish && v < -3);
  return clips && slope == 0 ? 0 : dy * slope;
}

Floats activation_gradient(const ActivationGradientAttrs& attrs, const Array& dy, const Array& v) {
  Floats dx(dy.data.size());
  for (size_t i = 0; i < dx.size(); ++i) {
    dx[i] = static_cast<float>(gradient_through(attrs.activation, dy.data[i], v.data[i]));
  }
  return dx;
}

void conv2d_weight_gradient(const Conv2dWeightGradientAttrs& attrs, const Array& x, const Array& dy,
                            const Shape& weight, Floats& gradient) {
  const int64_t group_out = weight[0] / attrs.groups, group_in = weight[1];
  const int64_t kernel_h = weight.size() == 4 ? weight[2] : 1;
  const int64_t kernel_w = weight.size() == 4 ? weight[3] : 1;
  parallel_for(weight[0] * group_in, [&](int64_t index) {
    const int64_t o = index / group_in;
    const int64_t i = o / group_out * group_in + index % group_in;
    for (int64_t kh = 0; kh < kernel_h; ++kh) {
      for (int64_t kw = 0; kw < kernel_w; ++kw) {
        double sum = 0;
        for (int64_t n = 0; n < x.n(); ++n) {
          for (int64_t oh = 0; oh < dy.h(); ++oh) {
            const int64_t h = oh * attrs.stride.h - attrs.padding.h + kh * attrs.dilation.h;
            if (h < 0 || h >= x.h()) continue;
            for (int64_t ow = 0; ow < dy.w(); ++ow) {
              const int64_t w = ow * attrs.stride.w - attrs.padding.w + kw * attrs.dilation.w;
              if (w < 0 || w >= x.w()) continue;
              sum += double{dy.plane(n, o)[oh * dy.w() + ow]} * x.plane(n, i)[h * x.w() + w];
            }
          }
        }
        float& tap = gradient[static_cast<size_t>((index * kernel_h + kh) * kernel_w + kw)];
        tap = static_cast<float>(tap + sum);
      }
    }
  });
}

void bias_gradient(const Array& dy, Floats& gradient) {
  for (int64_t c = 0; c < dy.c(); ++c) {
    double sum = 0;
    for (int64_t n = 0; n < dy.n(); ++n) {
      for (int64_t p = 0; p < dy.h() * dy.w(); ++p) sum += dy.plane(n, c)[p];
    }
    float& element = gradient[static_cast<size_t>(c)];
    element = static_cast<float>(element + sum);
  }
}

namespace {

// dx of `output` shape: give(dx of a plane, index of the plane, oh, ow, dy) for every output pixel.
template <typename Give>
Floats each_gradient(const Array& dy, const Shape& output, const Give& give) {
  const int64_t pixels = output[2] * output[3];
  Floats dx;
  dx.reserve(static_cast<size_t>(element_count(output)));
  for (int64_t index = 0; index < output[0] * output[1]; ++index) {
    const float* gradient = dy.plane(index / dy.c(), index % dy.c());
    std::vector<double> sums(static_cast<size_t>(pixels), 0.0);
    for (int64_t oh = 0; oh < dy.h(); ++oh) {
      for (int64_t ow = 0; ow < dy.w(); ++ow) {
        give(sums.data(), index, oh, ow, gradient[oh * dy.w() + ow]);
      }
    }
    for (const double sum : sums) dx.push_back(static_cast<float>(sum));
  }
  return dx;
}

void share(double* sums, int64_t width, const MeanWindow& window, double dy) {
  for (int64_t h = window.rows.begin; h < window.rows.end; ++h) {
    for (int64_t w = window.columns.begin; w < window.columns.end; ++w) {
      sums[h * width + w] += dy / static_cast<double>(window.divisor);
    }
  }
}

}  // namespace

Floats max_pool2d_gradient(const MaxPool2dAttrs& pool, const Array& dy, const Array& places,
                           const Shape& output) {
  return each_gradient(dy, output,
                       [&](double* sums, int64_t index, int64_t oh, int64_t ow, double gradient) {
                         const float* taps = places.plane(index / dy.c(), index % dy.c());
                         const auto tap = static_cast<int64_t>(taps[oh * dy.w() + ow]);
                         const int64_t pixel = tap_index(pool, output[2], output[3], oh, ow, tap);
                         if (pixel >= 0) sums[pixel] += gradient;
                       });
}

Floats avg_pool2d_gradient(const AvgPool2dAttrs& pool, const Array& dy, const Shape& output) {
  return each_gradient(
      dy, output, [&](double* sums, int64_t, int64_t oh, int64_t ow, double gradient) {
        share(sums, output[3], mean_window(pool, output[2], output[3], oh, ow), gradient);
      });
}

Floats adaptive_avg_pool2d_gradient(const Array& dy, const Shape& output) {
  const Size2d pooled{static_cast<int32_t>(dy.h()), static_cast<int32_t>(dy.w())};
  return each_gradient(
      dy, output, [&](double* sums, int64_t, int64_t oh, int64_t ow, double gradient) {
        share(sums, output[3], adaptive_window(pooled, output[2], output[3], oh, ow), gradient);
      });
}

Floats sum_pixels(const Array& x) {
  Floats y;
  for (int64_t n = 0; n < x.n(); ++n) {
    for (int64_t c = 0; c < x.c(); ++c) {
      double sum = 0;
      for (int64_t p = 0; p < x.h() * x.w(); ++p) sum += x.plane(n, c)[p];
      y.push_back(static_cast<float>(sum));
    }
  }
  return y;
}

Floats dropout_mask(const DropoutMaskAttrs& attrs, const Array& x, const Array& scalars) {
  const auto seed = static_cast<uint32_t>(scalar(scalars, ScalarSlot::kSeed));
  const auto step = static_cast<uint32_t>(scalar(scalars, ScalarSlot::kStep));
  Floats y(x.data.size());
  for (size_t i = 0; i < y.size(); ++i) {
    const bool kept = dropout_uniform(seed, step, attrs.stream, i) >= attrs.probability;
    // A NaN stays one though it is dropped, as in PyTorch.
    y[i] = static_cast<float>(x.data[i] * kept / (1 - double{attrs.probability}));
  }
  return y;
}

}  // namespace caldera::reference
