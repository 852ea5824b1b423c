// Operators that only move elements: concat, pad, subsample, and what undoes them or prepares them
// in a gradient: upsample_zeros, interleave, transpose_weight. (Flatten, unflatten and dropout move
// nothing.)
#include "graph/reference/operators.h"
#include "graph/reference/training_operators.h"

namespace caldera::reference {

Floats concat(const std::vector<Array>& inputs, const Shape& output) {
  Floats y;
  y.reserve(static_cast<size_t>(element_count(output)));
  for (int64_t n = 0; n < output[0]; ++n) {
    for (const Array& x : inputs) {
      const float* image = x.plane(n, 0);
      y.insert(y.end(), image, image + x.c() * x.h() * x.w());
    }
  }
  return y;
}

Floats pad(const PadAttrs& attrs, const Array& x, const Shape& output) {
  Floats y;
  y.reserve(static_cast<size_t>(element_count(output)));
  const int64_t height = x.h() + attrs.top + attrs.bottom;
  const int64_t width = x.w() + attrs.left + attrs.right;
  for (int64_t n = 0; n < output[0]; ++n) {
    for (int64_t c = 0; c < output[1]; ++c) {
      for (int64_t h = 0; h < height; ++h) {
        for (int64_t w = 0; w < width; ++w) {
          const int64_t xc = c - attrs.channels_before, xh = h - attrs.top, xw = w - attrs.left;
          const bool inside =
              xc >= 0 && xc < x.c() && xh >= 0 && xh < x.h() && xw >= 0 && xw < x.w();
          y.push_back(inside ? x.plane(n, xc)[xh * x.w() + xw] : 0.0f);
        }
      }
    }
  }
  return y;
}

Floats subsample(const SubsampleAttrs& attrs, const Array& x, const Shape& output) {
  Floats y;
  y.reserve(static_cast<size_t>(element_count(output)));
  for (int64_t n = 0; n < x.n(); ++n) {
    for (int64_t c = 0; c < x.c(); ++c) {
      for (int64_t h = 0; h < x.h(); h += attrs.stride.h) {
        for (int64_t w = 0; w < x.w(); w += attrs.stride.w) {
          y.push_back(x.plane(n, c)[h * x.w() + w]);
        }
      }
    }
  }
  return y;
}

Floats upsample_zeros(const UpsampleZerosAttrs& attrs, const Array& x, const Shape& output) {
  Floats y(static_cast<size_t>(element_count(output)), 0.0f);
  for (int64_t n = 0; n < x.n(); ++n) {
    for (int64_t c = 0; c < x.c(); ++c) {
      for (int64_t h = 0; h < x.h(); ++h) {
        for (int64_t w = 0; w < x.w(); ++w) {
          const int64_t yh = h * attrs.stride.h + attrs.offset.h;
          const int64_t yw = w * attrs.stride.w + attrs.offset.w;
          if (yh < 0 || yh >= output[2] || yw < 0 || yw >= output[3]) continue;
          y[static_cast<size_t>(((n * x.c() + c) * output[2] + yh) * output[3] + yw)] =
              x.plane(n, c)[h * x.w() + w];
        }
      }
    }
  }
  return y;
}

Floats interleave(const InterleaveAttrs& attrs, const std::vector<Array>& inputs,
                  const Shape& output) {
  Floats y(static_cast<size_t>(element_count(output)));
  for (size_t phase = 0; phase < inputs.size(); ++phase) {
    const Array& x = inputs[phase];
    const auto [at, from] = attrs.phases[phase];
    for (int64_t n = 0; n < output[0]; ++n) {
      for (int64_t c = 0; c < output[1]; ++c) {
        for (int64_t h = at.h; h < output[2]; h += attrs.stride.h) {
          for (int64_t w = at.w; w < output[3]; w += attrs.stride.w) {
            const int64_t row = (h - at.h) / attrs.stride.h + from.h;
            const int64_t column = (w - at.w) / attrs.stride.w + from.w;
            y[static_cast<size_t>(((n * output[1] + c) * output[2] + h) * output[3] + w)] =
                x.plane(n, c)[row * x.w() + column];
          }
        }
      }
    }
  }
  return y;
}

Floats transpose_weight(const TransposeWeightAttrs& attrs, const Array& weight) {
  const int64_t group_out = weight.n() / attrs.groups, group_in = weight.c();
  Floats y;
  y.reserve(weight.data.size());
  for (int64_t i = 0; i < group_in * attrs.groups; ++i) {
    const int64_t first_out = i / group_in * group_out;
    for (int64_t o = first_out; o < first_out + group_out; ++o) {
      const float* taps = weight.plane(o, i % group_in);
      const auto last = [](int64_t size, int32_t first, int32_t stride) {
        return first + (size - 1 - first) / stride * stride;
      };
      const int64_t last_h = last(weight.h(), attrs.first.h, attrs.stride.h);
      const int64_t last_w = last(weight.w(), attrs.first.w, attrs.stride.w);
      for (int64_t kh = last_h; kh >= attrs.first.h; kh -= attrs.stride.h) {
        for (int64_t kw = last_w; kw >= attrs.first.w; kw -= attrs.stride.w) {
          y.push_back(taps[kh * weight.w() + kw]);
        }
      }
    }
  }
  return y;
}

}  // namespace caldera::reference
