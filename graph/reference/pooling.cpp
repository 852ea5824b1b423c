// Pooling, window by window. A window is cut to the image; what differs between the operators is
// what they divide by, and how they treat what was cut off.
#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/reference/operators.h"

namespace caldera::reference {
namespace {

// Rows or columns [begin, end).
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return std::max<int64_t>(end - begin, 0); }
};

double sum_of(const float* plane, int64_t width, Window rows, Window columns) {
  double sum = 0;
  for (int64_t h = rows.begin; h < rows.end; ++h) {
    for (int64_t w = columns.begin; w < columns.end; ++w) sum += plane[h * width + w];
  }
  return sum;
}

// y[n, c, oh, ow] = value(plane of x, oh, ow)
template <typename Value>
Floats each_output(const Array& x, int64_t out_h, int64_t out_w, const Value& value) {
  Floats y(static_cast<size_t>(x.n() * x.c() * out_h * out_w));
  parallel_for(x.n() * x.c(), [&](int64_t index) {
    const float* plane = x.plane(index / x.c(), index % x.c());
    for (int64_t oh = 0; oh < out_h; ++oh) {
      for (int64_t ow = 0; ow < out_w; ++ow) {
        y[static_cast<size_t>((index * out_h + oh) * out_w + ow)] = value(plane, oh, ow);
      }
    }
  });
  return y;
}

}  // namespace

Floats max_pool2d(const MaxPool2dAttrs& attrs, const Array& x, const Shape& output) {
  return each_output(x, output[2], output[3], [&](const float* plane, int64_t oh, int64_t ow) {
    float greatest = -std::numeric_limits<float>::infinity();
    for (int64_t kh = 0; kh < attrs.kernel.h; ++kh) {
      const int64_t h = oh * attrs.stride.h - attrs.padding.h + kh * attrs.dilation.h;
      if (h < 0 || h >= x.h()) continue;
      for (int64_t kw = 0; kw < attrs.kernel.w; ++kw) {
        const int64_t w = ow * attrs.stride.w - attrs.padding.w + kw * attrs.dilation.w;
        if (w < 0 || w >= x.w()) continue;
        const float value = plane[h * x.w() + w];
        if (value > greatest || std::isnan(value)) greatest = value;
        if (std::isnan(greatest)) return greatest;
      }
    }
    return greatest;
  });
}

Floats avg_pool2d(const AvgPool2dAttrs& attrs, const Array& x, const Shape& output) {
  // A window over the padded image: ceil mode may leave a part of it beyond the padding, and that
  // part counts for nothing, whatever count_include_pad says.
  const auto padded = [](int64_t o, int64_t kernel, int64_t stride, int64_t padding, int64_t in) {
    const int64_t begin = o * stride - padding;
    return Window{begin, std::min(begin + kernel, in + padding)};
  };
  const auto cut = [](Window window, int64_t in) {
    return Window{std::max<int64_t>(window.begin, 0), std::min(window.end, in)};
  };
  return each_output(x, output[2], output[3], [&](const float* plane, int64_t oh, int64_t ow) {
    const Window rows = padded(oh, attrs.kernel.h, attrs.stride.h, attrs.padding.h, x.h());
    const Window columns = padded(ow, attrs.kernel.w, attrs.stride.w, attrs.padding.w, x.w());
    const Window inner_rows = cut(rows, x.h()), inner_columns = cut(columns, x.w());
    const int64_t inner = inner_rows.size() * inner_columns.size();
    if (inner == 0) return 0.0f;
    const int64_t divisor = attrs.count_include_pad ? rows.size() * columns.size() : inner;
    return static_cast<float>(sum_of(plane, x.w(), inner_rows, inner_columns) /
                              static_cast<double>(divisor));
  });
}

Floats adaptive_avg_pool2d(const AdaptiveAvgPool2dAttrs& attrs, const Array& x) {
  const auto bin = [](int64_t o, int64_t in, int64_t out) {
    return Window{o * in / out, ((o + 1) * in + out - 1) / out};
  };
  const int64_t out_h = attrs.output.h, out_w = attrs.output.w;
  return each_output(x, out_h, out_w, [&](const float* plane, int64_t oh, int64_t ow) {
    const Window rows = bin(oh, x.h(), out_h), columns = bin(ow, x.w(), out_w);
    return static_cast<float>(sum_of(plane, x.w(), rows, columns) /
                              static_cast<double>(rows.size() * columns.size()));
  });
}

}  // namespace caldera::reference
