// torchvision's RandomResizedCrop.get_params and RandomErasing.get_params: the area is uniform, the
// logarithm of the ratio of the sides is uniform, and ten draws are made.
#include "models/data/boxes.h"

#include <algorithm>
#include <cmath>

namespace caldera {
namespace {

constexpr int kAttempts = 10;

// As Python's round(): halves to the even neighbour.
int64_t rounded(double value) {
  return std::llrint(value);
}

int32_t draw_start(int64_t size, int64_t part, Random& random) {
  return static_cast<int32_t>(random.below(static_cast<uint64_t>(size - part + 1)));
}

// The two sides of a rectangle: the longer of the first, the larger the ratio.
struct Sides {
  int64_t first = 0;
  int64_t second = 0;
};

Sides draw_sides(double area, const Range& scale, const Range& ratio, Random& random) {
  const double part = area * random.uniform(scale.low, scale.high);
  const double aspect = std::exp(random.uniform(std::log(ratio.low), std::log(ratio.high)));
  return {rounded(std::sqrt(part * aspect)), rounded(std::sqrt(part / aspect))};
}

// The largest box in the centre whose ratio is allowed.
Box central(const Range& ratio, int32_t width, int32_t height) {
  const double shape = static_cast<double>(width) / height;
  Box box{0, 0, width, height};
  if (shape < ratio.low) {
    box.height = static_cast<int32_t>(rounded(width / ratio.low));
  } else if (shape > ratio.high) {
    box.width = static_cast<int32_t>(rounded(height * ratio.high));
  }
  box.width = std::clamp(box.width, 1, width);
  box.height = std::clamp(box.height, 1, height);
  box.left = (width - box.width) / 2;
  box.top = (height - box.height) / 2;
  return box;
}

}  // namespace

Box draw_resized_crop(const RandomResizedCrop& crop, int32_t width, int32_t height,
                      Random& random) {
  const double area = static_cast<double>(width) * height;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto [w, h] = draw_sides(area, crop.scale, crop.ratio, random);
    if (w <= 0 || w > width || h <= 0 || h > height) continue;
    const int32_t top = draw_start(height, h, random);
    const int32_t left = draw_start(width, w, random);
    return {left, top, static_cast<int32_t>(w), static_cast<int32_t>(h)};
  }
  return central(crop.ratio, width, height);
}

std::optional<Box> draw_erasing(const RandomErasing& erasing, int32_t width, int32_t height,
                                Random& random) {
  const double area = static_cast<double>(width) * height;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto [h, w] = draw_sides(area, erasing.scale, erasing.ratio, random);
    if (w <= 0 || w >= width || h <= 0 || h >= height) continue;
    const int32_t top = draw_start(height, h, random);
    const int32_t left = draw_start(width, w, random);
    return Box{left, top, static_cast<int32_t>(w), static_cast<int32_t>(h)};
  }
  return std::nullopt;
}

}  // namespace caldera
