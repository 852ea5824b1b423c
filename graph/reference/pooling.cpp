// Pooling, window by window. A window is cut to the image; what differs between the operators is
// what they divide by, and how they treat what was cut off (windows.h).
#include <limits>

#include "graph/reference/operators.h"
#include "graph/reference/windows.h"

namespace caldera::reference {
namespace {

float mean_of(const float* plane, int64_t width, const MeanWindow& window) {
  if (window.divisor == 0) return 0;
  double sum = 0;
  for (int64_t h = window.rows.begin; h < window.rows.end; ++h) {
    for (int64_t w = window.columns.begin; w < window.columns.end; ++w) {
      sum += plane[h * width + w];
    }
  }
  return static_cast<float>(sum / static_cast<double>(window.divisor));
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

std::vector<Floats> max_pool2d(const MaxPool2dAttrs& attrs, const Array& x, const Shape& output) {
  const auto each = [&](const auto& value_at) {
    return each_output(x, output[2], output[3], [&](const float* plane, int64_t oh, int64_t ow) {
      return value_at(plane, oh, ow, greatest_tap(attrs, plane, x.h(), x.w(), oh, ow));
    });
  };
  std::vector<Floats> made{each([&](const float* plane, int64_t oh, int64_t ow, int64_t tap) {
    return tap < 0 ? -std::numeric_limits<float>::infinity()
                   : plane[tap_index(attrs, x.h(), x.w(), oh, ow, tap)];
  })};
  if (!attrs.places) return made;
  constexpr float kNowhere = 65'535;
  made.push_back(each([](const float*, int64_t, int64_t, int64_t tap) {
    return tap < 0 ? kNowhere : static_cast<float>(tap);
  }));
  return made;
}

Floats avg_pool2d(const AvgPool2dAttrs& attrs, const Array& x, const Shape& output) {
  return each_output(x, output[2], output[3], [&](const float* plane, int64_t oh, int64_t ow) {
    return mean_of(plane, x.w(), mean_window(attrs, x.h(), x.w(), oh, ow));
  });
}

Floats adaptive_avg_pool2d(const AdaptiveAvgPool2dAttrs& attrs, const Array& x) {
  const Size2d size = attrs.output;
  return each_output(x, size.h, size.w, [&](const float* plane, int64_t oh, int64_t ow) {
    return mean_of(plane, x.w(), adaptive_window(size, x.h(), x.w(), oh, ow));
  });
}

}  // namespace caldera::reference
