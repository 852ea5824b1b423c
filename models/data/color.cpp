// All but hue are a blend of each value with another, base + factor * (value - base) in float and
// cut off to 8 bits. Both are bytes, so the product comes from a table: one rounding, whatever a
// compiler would fuse, and no arithmetic a pixel.
#include "models/data/color.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace caldera {
namespace {

uint8_t cut_off(float value) {
  return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
}

// Blends by one factor, from products of every difference of two bytes.
class Blend {
 public:
  explicit Blend(float factor) {
    for (int difference = -255; difference <= 255; ++difference) {
      product_[static_cast<size_t>(difference + 255)] = factor * static_cast<float>(difference);
    }
  }

  uint8_t operator()(int base, int value) const {
    return cut_off(static_cast<float>(base) + product_[static_cast<size_t>(value - base + 255)]);
  }

 private:
  std::array<float, 511> product_;
};

// ITU-R 601-2 luma with 16 fractional bits, rounded.
int luma(const uint8_t* rgb) {
  return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + (1 << 15)) >> 16;
}

void blend_with(Image& image, int base, float factor) {
  const Blend blend(factor);
  std::array<uint8_t, 256> table;
  for (int value = 0; value < 256; ++value) table[static_cast<size_t>(value)] = blend(base, value);
  for (uint8_t& value : image.pixels) value = table[value];
}

uint8_t rounded(float value) {
  return static_cast<uint8_t>(std::clamp(std::round(value), 0.0f, 255.0f));
}

// A pixel of one hue turned by `turn` of 256 steps, by way of hue, saturation and value of 8 bits
// each (Smith, "Color Gamut Transform Pairs", 1978).
void turn_pixel(uint8_t* rgb, uint8_t turn) {
  const auto [least, most] = std::minmax({rgb[0], rgb[1], rgb[2]});
  if (least == most) return;  // Grey has no hue.
  const auto spread = static_cast<float>(most - least);
  const auto distance = [&](size_t c) { return static_cast<float>(most - rgb[c]) / spread; };
  double sixths = 0;
  if (rgb[0] == most) {
    sixths = distance(2) - distance(1);
  } else if (rgb[1] == most) {
    sixths = 2.0 + distance(0) - distance(2);
  } else {
    sixths = 4.0 + distance(1) - distance(0);
  }
  const auto circle = static_cast<float>(std::fmod(static_cast<float>(sixths) / 6.0 + 1.0, 1.0));
  const auto hue = static_cast<uint8_t>(static_cast<int>(circle * 255.0) + turn);
  const int saturation = static_cast<int>(spread / static_cast<float>(most) * 255.0);
  if (saturation == 0) {
    rgb[0] = rgb[1] = rgb[2] = most;
    return;
  }

  const double turned = static_cast<float>(hue) * 6.0 / 255.0;
  const int sector = static_cast<int>(std::floor(turned));
  const auto within = static_cast<float>(turned - sector);
  const auto full = static_cast<float>(saturation / 255.0);
  const auto value = static_cast<float>(most);
  const uint8_t low = rounded(static_cast<float>(value * (1.0 - full)));
  const uint8_t falling = rounded(static_cast<float>(value * (1.0 - full * within)));
  const uint8_t rising = rounded(static_cast<float>(value * (1.0 - full * (1.0 - within))));
  const std::array<std::array<uint8_t, 3>, 6> sectors{{{most, rising, low},
                                                       {falling, most, low},
                                                       {low, most, rising},
                                                       {low, falling, most},
                                                       {rising, low, most},
                                                       {most, low, falling}}};
  const auto& color = sectors[static_cast<size_t>(sector % 6)];
  std::copy(color.begin(), color.end(), rgb);
}

float draw_factor(double spread, Random& random) {
  return static_cast<float>(random.uniform(std::max(0.0, 1 - spread), 1 + spread));
}

}  // namespace

void adjust_brightness(Image& image, float factor) {
  blend_with(image, 0, factor);
}

void adjust_contrast(Image& image, float factor) {
  int64_t sum = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) sum += luma(image.pixels.data() + i);
  const double mean = static_cast<double>(sum) / (static_cast<double>(image.pixels.size()) / 3);
  blend_with(image, static_cast<int>(mean + 0.5), factor);
}

void adjust_saturation(Image& image, float factor) {
  const Blend blend(factor);
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    uint8_t* rgb = image.pixels.data() + i;
    const int grey = luma(rgb);
    for (size_t c = 0; c < 3; ++c) rgb[c] = blend(grey, rgb[c]);
  }
}

void adjust_hue(Image& image, float turn) {
  // Steps of 255ths as torchvision counts them, on a circle of 256 bytes.
  const auto steps = static_cast<uint8_t>(static_cast<int>(turn * 255.0));
  for (size_t i = 0; i < image.pixels.size(); i += 3) turn_pixel(image.pixels.data() + i, steps);
}

void jitter_colors(Image& image, const ColorJitter& jitter, Random& random) {
  std::vector<int> order{0, 1, 2, 3};
  random.shuffle(order);
  // Drawn whatever is used, so that one setting does not move another's factor.
  const float brightness = draw_factor(jitter.brightness, random);
  const float contrast = draw_factor(jitter.contrast, random);
  const float saturation = draw_factor(jitter.saturation, random);
  const auto hue = static_cast<float>(random.uniform(-jitter.hue, jitter.hue));
  for (const int which : order) {
    if (which == 0 && jitter.brightness > 0) adjust_brightness(image, brightness);
    if (which == 1 && jitter.contrast > 0) adjust_contrast(image, contrast);
    if (which == 2 && jitter.saturation > 0) adjust_saturation(image, saturation);
    if (which == 3 && jitter.hue > 0) adjust_hue(image, hue);
  }
}

}  // namespace caldera
