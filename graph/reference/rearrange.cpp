// Operators that only move elements: concat, pad, subsample. (Flatten and dropout move nothing.)
#include <algorithm>

#include "graph/reference/operators.h"

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
  Floats y(static_cast<size_t>(element_count(output)), 0.0f);
  for (int64_t n = 0; n < x.n(); ++n) {
    for (int64_t c = 0; c < x.c(); ++c) {
      const int64_t out_plane = n * output[1] + attrs.channels_before + c;
      for (int64_t h = 0; h < x.h(); ++h) {
        const float* row = x.plane(n, c) + h * x.w();
        const int64_t out_row = out_plane * output[2] + attrs.top + h;
        std::copy_n(row, x.w(), y.begin() + out_row * output[3] + attrs.left);
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

}  // namespace caldera::reference
