// Crops and mirror images, with torchvision's rounding: the same pixel is the centre there and
// here, also where a side is odd or the image smaller than the crop.
#include <algorithm>
#include <cassert>
#include <cstddef>

#include "caldera/image.h"

#include "models/image/resize.h"

namespace caldera {
namespace {

// n / 2 as Python's round() has it: a half goes to the even neighbour.
int64_t half_to_even(int64_t n) {
  const int64_t floor = n / 2;
  return n % 2 == 0 ? floor : floor + floor % 2;
}

int64_t center_offset(int64_t size, int64_t crop) {
  return size >= crop ? half_to_even(size - crop) : -((crop - size) / 2);
}

}  // namespace

Offset center_crop_offset(const Extent& image, int32_t width, int32_t height) {
  return {center_offset(image.width, width), center_offset(image.height, height)};
}

Image crop(const Image& image, int32_t left, int32_t top, int32_t width, int32_t height) {
  assert(width > 0 && height > 0);
  Image out{
      width, height,
      std::vector<uint8_t>(size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height))};
  // The part of the crop that lies on the image, in the image's pixels.
  const int64_t x0 = std::max<int64_t>(left, 0);
  const int64_t x1 = std::min<int64_t>(int64_t{left} + width, image.width);
  const int64_t y0 = std::max<int64_t>(top, 0);
  const int64_t y1 = std::min<int64_t>(int64_t{top} + height, image.height);
  if (x0 >= x1) return out;
  for (int64_t y = y0; y < y1; ++y) {
    const auto from = image.pixels.begin() + 3 * (y * image.width + x0);
    std::copy(from, from + 3 * (x1 - x0),
              out.pixels.begin() + 3 * ((y - top) * width + (x0 - left)));
  }
  return out;
}

Image center_crop(const Image& image, int32_t width, int32_t height) {
  const Offset at = center_crop_offset({image.width, image.height}, width, height);
  return crop(image, static_cast<int32_t>(at.left), static_cast<int32_t>(at.top), width, height);
}

Image flip_horizontal(const Image& image) {
  Image out{image.width, image.height, std::vector<uint8_t>(image.pixels.size())};
  const size_t stride = size_t{3} * static_cast<size_t>(image.width);
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y) {
    const uint8_t* from = image.pixels.data() + y * stride;
    uint8_t* to = out.pixels.data() + (y + 1) * stride;
    for (size_t x = 0; x < stride; x += 3) {
      to -= 3;
      to[0] = from[x];
      to[1] = from[x + 1];
      to[2] = from[x + 2];
    }
  }
  return out;
}

std::vector<Image> ten_crop(const Image& image, int32_t width, int32_t height) {
  std::vector<Image> crops;
  crops.reserve(10);
  const auto five = [&](const Image& from) {
    const int32_t right = from.width - width;
    const int32_t bottom = from.height - height;
    crops.push_back(crop(from, 0, 0, width, height));
    crops.push_back(crop(from, right, 0, width, height));
    crops.push_back(crop(from, 0, bottom, width, height));
    crops.push_back(crop(from, right, bottom, width, height));
    crops.push_back(center_crop(from, width, height));
  };
  five(image);
  five(flip_horizontal(image));
  return crops;
}

}  // namespace caldera
