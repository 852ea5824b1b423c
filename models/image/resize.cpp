// Pillow's resampling for 8-bit images, to the bit: a triangle filter as wide as the scale when
// shrinking, coefficients rounded to 22 fractional bits, the horizontal pass rounded to 8 bits
// before the vertical one. Rows are filtered horizontally when first needed and kept in a ring, so
// that the working memory is a few rows, in cache, whatever the image's height.
#include "models/image/resize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

namespace caldera {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // Eight bits of pixel, two of headroom.
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);
constexpr int64_t kMaxPixels = int64_t{1} << 28;

// How one output pixel is made from input pixels `first` .. `first + count - 1`.
struct Taps {
  int32_t first = 0;
  int32_t count = 0;
  size_t weights = 0;  // Index of the first weight.
};

// One axis of a resize, for a range of output pixels.
struct Axis {
  std::vector<Taps> taps;
  std::vector<int32_t> weights;  // With kPrecisionBits fractional bits.
  int32_t most_taps = 0;
};

Axis make_axis(int32_t in, int64_t out, int64_t first, int32_t count) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);  // The triangle's half width, in input pixels.
  Axis axis;
  axis.taps.reserve(static_cast<size_t>(count));
  std::vector<double> weights;
  for (int64_t i = first; i < first + count; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = static_cast<int32_t>(std::max(center - support + 0.5, 0.0));
    const auto end = static_cast<int32_t>(std::min(center + support + 0.5, double{1} * in));
    weights.clear();
    double sum = 0;
    for (int32_t x = begin; x < end; ++x) {
      const double distance = std::abs((x - center + 0.5) * (1.0 / support));
      weights.push_back(std::max(1.0 - distance, 0.0));
      sum += weights.back();
    }
    axis.taps.push_back({begin, end - begin, axis.weights.size()});
    axis.most_taps = std::max(axis.most_taps, end - begin);
    for (const double weight : weights) {
      const double normalized = sum != 0 ? weight / sum : weight;
      axis.weights.push_back(static_cast<int32_t>(0.5 + normalized * (1 << kPrecisionBits)));
    }
  }
  return axis;
}

uint8_t to_pixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

void filter_row(const uint8_t* in, const Axis& axis, uint8_t* out) {
  for (const Taps& taps : axis.taps) {
    const uint8_t* pixel = in + ptrdiff_t{3} * taps.first;
    const int32_t* weight = axis.weights.data() + taps.weights;
    int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int32_t t = 0; t < taps.count; ++t, pixel += 3) {
      r += pixel[0] * weight[t];
      g += pixel[1] * weight[t];
      b += pixel[2] * weight[t];
    }
    out[0] = to_pixel(r);
    out[1] = to_pixel(g);
    out[2] = to_pixel(b);
    out += 3;
  }
}

// Sums `rows`, each of `length` bytes, by their weights: in blocks, whose sums stay in registers.
void blend_rows(const uint8_t* const* rows, const int32_t* weights, int32_t count, size_t length,
                uint8_t* out) {
  constexpr size_t kBlock = 16;
  size_t x = 0;
  for (; x + kBlock <= length; x += kBlock) {
    int32_t sum[kBlock];
    for (size_t i = 0; i < kBlock; ++i) sum[i] = kHalf;
    for (int32_t t = 0; t < count; ++t) {
      const uint8_t* row = rows[t] + x;
      const int32_t weight = weights[t];
      for (size_t i = 0; i < kBlock; ++i) sum[i] += row[i] * weight;
    }
    for (size_t i = 0; i < kBlock; ++i) out[x + i] = to_pixel(sum[i]);
  }
  for (; x < length; ++x) {
    int32_t sum = kHalf;
    for (int32_t t = 0; t < count; ++t) sum += rows[t][x] * weights[t];
    out[x] = to_pixel(sum);
  }
}

}  // namespace

Image resize_window(const Image& image, int64_t width, int64_t height, const Window& window) {
  assert(image.width > 0 && image.height > 0);
  assert(window.left >= 0 && window.left + window.width <= width);
  assert(window.top >= 0 && window.top + window.height <= height);
  const size_t in_stride = size_t{3} * static_cast<size_t>(image.width);
  const size_t out_stride = size_t{3} * static_cast<size_t>(window.width);
  Image out{window.width, window.height,
            std::vector<uint8_t>(out_stride * static_cast<size_t>(window.height))};

  const bool across = width != image.width;
  const Axis horizontal =
      across ? make_axis(image.width, width, window.left, window.width) : Axis{};
  const Axis vertical = make_axis(image.height, height, window.top, window.height);

  // Slot of input row y: y % most_taps. `filtered` rows have been through the ring or skipped.
  const auto slots = static_cast<size_t>(vertical.most_taps);
  std::vector<uint8_t> ring(across ? slots * out_stride : 0);
  std::vector<const uint8_t*> rows(slots);
  int32_t filtered = 0;
  const auto row = [&](int32_t y) -> const uint8_t* {
    const uint8_t* in = image.pixels.data() + static_cast<size_t>(y) * in_stride;
    if (!across) return in + size_t{3} * static_cast<size_t>(window.left);
    uint8_t* slot = ring.data() + static_cast<size_t>(y) % slots * out_stride;
    if (y >= filtered) {
      filter_row(in, horizontal, slot);
      filtered = y + 1;
    }
    return slot;
  };

  uint8_t* to = out.pixels.data();
  for (const Taps& taps : vertical.taps) {
    for (int32_t t = 0; t < taps.count; ++t) rows[static_cast<size_t>(t)] = row(taps.first + t);
    blend_rows(rows.data(), vertical.weights.data() + taps.weights, taps.count, out_stride, to);
    to += out_stride;
  }
  return out;
}

Image resize(const Image& image, int32_t width, int32_t height) {
  assert(width > 0 && height > 0);
  if (width == image.width && height == image.height) return image;
  return resize_window(image, width, height, {0, 0, width, height});
}

Extent shorter_side_extent(const Image& image, int32_t size) {
  const auto [shorter, longer] = std::minmax(image.width, image.height);
  // In double and truncated, as Python's int(size * long / short): the product is exact, and so
  // this is the integer quotient.
  const int64_t scaled = int64_t{size} * longer / shorter;
  if (image.width <= image.height) return {size, scaled};
  return {scaled, size};
}

Extent bounded_extent(const Extent& extent) {
  const auto [shorter, longer] = std::minmax(extent.width, extent.height);
  const int64_t most = std::max(kMaxPixels / shorter, shorter);
  return {std::min(extent.width, most), std::min(extent.height, most)};
}

Image resize_shorter_side(const Image& image, int32_t size) {
  assert(size > 0);
  const Extent extent = bounded_extent(shorter_side_extent(image, size));
  return resize(image, static_cast<int32_t>(extent.width), static_cast<int32_t>(extent.height));
}

}  // namespace caldera
