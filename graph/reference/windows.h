// The windows of the pools, shared by the pools and their gradients: what of the image each
// covers, and what its sum is divided by.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "caldera/graph.h"

namespace caldera::reference {

// Rows or columns [begin, end).
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return std::max<int64_t>(end - begin, 0); }
};

// What an output pixel is the mean of: pixels inside the image, and the divisor.
struct MeanWindow {
  Window rows;
  Window columns;
  int64_t divisor = 0;  // 0 where the window lies outside the image.
};

inline MeanWindow mean_window(const AvgPool2dAttrs& attrs, int64_t height, int64_t width,
                              int64_t oh, int64_t ow) {
  // A window over the padded image: ceil mode may leave a part of it beyond the padding, and that
  // part counts for nothing, whatever count_include_pad says.
  const auto padded = [](int64_t o, int64_t kernel, int64_t stride, int64_t padding, int64_t in) {
    const int64_t begin = o * stride - padding;
    return Window{begin, std::min(begin + kernel, in + padding)};
  };
  const auto cut = [](Window window, int64_t in) {
    return Window{std::max<int64_t>(window.begin, 0), std::min(window.end, in)};
  };
  const Window rows = padded(oh, attrs.kernel.h, attrs.stride.h, attrs.padding.h, height);
  const Window columns = padded(ow, attrs.kernel.w, attrs.stride.w, attrs.padding.w, width);
  MeanWindow window{cut(rows, height), cut(columns, width), 0};
  const int64_t inner = window.rows.size() * window.columns.size();
  if (inner > 0) window.divisor = attrs.count_include_pad ? rows.size() * columns.size() : inner;
  return window;
}

inline MeanWindow adaptive_window(Size2d output, int64_t height, int64_t width, int64_t oh,
                                  int64_t ow) {
  const auto bin = [](int64_t o, int64_t in, int64_t out) {
    return Window{o * in / out, ((o + 1) * in + out - 1) / out};
  };
  const Window rows = bin(oh, height, output.h), columns = bin(ow, width, output.w);
  return {rows, columns, rows.size() * columns.size()};
}

// Index in a plane of the pixel under a window's tap; -1 outside the image.
inline int64_t tap_index(const MaxPool2dAttrs& attrs, int64_t height, int64_t width, int64_t oh,
                         int64_t ow, int64_t tap) {
  const int64_t h = oh * attrs.stride.h - attrs.padding.h + tap / attrs.kernel.w * attrs.dilation.h;
  const int64_t w = ow * attrs.stride.w - attrs.padding.w + tap % attrs.kernel.w * attrs.dilation.w;
  return h < 0 || h >= height || w < 0 || w >= width ? -1 : h * width + w;
}

// The tap under which the greatest of a window stands: the first of equals; each NaN counts as
// greater than what stood before it. -1 where no tap lies inside the image.
inline int64_t greatest_tap(const MaxPool2dAttrs& attrs, const float* plane, int64_t height,
                            int64_t width, int64_t oh, int64_t ow) {
  int64_t best = -1;
  float greatest = 0;
  for (int64_t tap = 0; tap < int64_t{attrs.kernel.h} * attrs.kernel.w; ++tap) {
    const int64_t index = tap_index(attrs, height, width, oh, ow, tap);
    if (index < 0) continue;
    const float value = plane[index];
    if (best >= 0 && !(value > greatest) && !std::isnan(value)) continue;
    best = tap;
    greatest = value;
  }
  return best;
}

}  // namespace caldera::reference
