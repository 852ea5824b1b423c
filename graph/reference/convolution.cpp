// Convolution and linear layers. Convolution adds one weight's product with a whole plane at a
// time: the bounds of the plane that a tap can reach are found once, and the inner loop is plain.
#include <cstddef>

#include "graph/reference/operators.h"

namespace caldera::reference {
namespace {

// Output positions [begin, end) for which a tap falls inside the input.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

// A tap reads position o * stride + shift of an input of `input` positions.
Range inside(int64_t output, int64_t input, int64_t stride, int64_t shift) {
  Range range{0, output};
  while (range.begin < range.end && range.begin * stride + shift < 0) ++range.begin;
  while (range.end > range.begin && (range.end - 1) * stride + shift >= input) --range.end;
  return range;
}

}  // namespace

Floats conv2d(const Conv2dAttrs& attrs, const Array& x, const Array& weight, const Array* bias,
              const Finish& finish, const Shape& output) {
  const int64_t out_channels = output[1], out_h = output[2], out_w = output[3];
  const int64_t group_in = weight.c(), group_out = out_channels / attrs.groups;
  Floats y(static_cast<size_t>(element_count(output)));

  parallel_for(output[0] * out_channels, [&](int64_t index) {
    const int64_t image = index / out_channels, channel = index % out_channels;
    const int64_t first_in = channel / group_out * group_in;
    std::vector<double> sum(static_cast<size_t>(out_h * out_w),
                            bias ? bias->data[static_cast<size_t>(channel)] : 0.0);
    for (int64_t i = 0; i < group_in; ++i) {
      const float* plane = x.plane(image, first_in + i);
      const float* taps = weight.plane(channel, i);
      for (int64_t kh = 0; kh < weight.h(); ++kh) {
        const int64_t shift_h = kh * attrs.dilation.h - attrs.padding.h;
        const Range rows = inside(out_h, x.h(), attrs.stride.h, shift_h);
        for (int64_t kw = 0; kw < weight.w(); ++kw) {
          const int64_t shift_w = kw * attrs.dilation.w - attrs.padding.w;
          const Range columns = inside(out_w, x.w(), attrs.stride.w, shift_w);
          const double tap = taps[kh * weight.w() + kw];
          for (int64_t oh = rows.begin; oh < rows.end; ++oh) {
            const float* row = plane + (oh * attrs.stride.h + shift_h) * x.w();
            double* sum_row = sum.data() + oh * out_w;
            for (int64_t ow = columns.begin; ow < columns.end; ++ow) {
              sum_row[ow] += tap * row[ow * attrs.stride.w + shift_w];
            }
          }
        }
      }
    }
    const int64_t first_out = index * out_h * out_w;
    for (int64_t p = 0; p < out_h * out_w; ++p) {
      y[static_cast<size_t>(first_out + p)] = finish(sum[static_cast<size_t>(p)], first_out + p);
    }
  });
  return y;
}

Floats linear(const Array& x, const Array& weight, const Array* bias, const Finish& finish) {
  const int64_t batch = x.n(), inputs = weight.c(), outputs = weight.n();
  Floats y(static_cast<size_t>(batch * outputs));
  parallel_for(outputs, [&](int64_t o) {
    const float* taps = weight.plane(o, 0);
    for (int64_t n = 0; n < batch; ++n) {
      const float* row = x.plane(n, 0);
      double sum = bias ? bias->data[static_cast<size_t>(o)] : 0.0;
      for (int64_t i = 0; i < inputs; ++i) sum += static_cast<double>(taps[i]) * row[i];
      y[static_cast<size_t>(n * outputs + o)] = finish(sum, n * outputs + o);
    }
  });
  return y;
}

}  // namespace caldera::reference
