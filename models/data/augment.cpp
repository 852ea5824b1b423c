// One sample's augmentation, in torchvision's order: crop and resize, mirror, colours, normalise,
// pad and crop, erase. Every step draws from its own stream of the sample's key, so that turning
// one on or off leaves the others' choices alone.
#include "caldera/augment.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "models/data/boxes.h"
#include "models/data/color.h"
#include "models/data/random.h"

namespace caldera {
namespace {

// Within a sample's numbers.
enum class Step : uint64_t { kCrop = 1, kFlip, kJitter, kPad, kErase };

struct Named {
  std::string name;
  Augmentation augmentation;
};

std::vector<Named> known() {
  return {
      {"none", {}},
      {"flip", {.flip = 0.5}},
      {"cifar", {.pad = 4, .flip = 0.5}},
      {"imagenet", {.resized_crop = {.enabled = true}, .flip = 0.5, .jitter = {0.4, 0.4, 0.4, 0}}},
  };
}

Error invalid(const std::string& what) {
  return {ErrorCode::kInvalidInput, "augmentation: " + what};
}

Status check_scale(const char* what, const Range& scale, const Range& ratio) {
  if (!(scale.low > 0 && scale.low <= scale.high && scale.high <= 1)) {
    return invalid(fmt::format("the scale of {} must be within (0, 1], the lower end first", what));
  }
  if (!(ratio.low > 0 && ratio.low <= ratio.high && std::isfinite(ratio.high))) {
    return invalid(fmt::format("the ratio of {} must be above 0, the lower end first", what));
  }
  return {};
}

// Writes `planes`, [3, height, width], into `output` shifted by (left, top), with zeros around it.
void shift(std::span<const float> planes, int32_t width, int32_t height, int32_t left, int32_t top,
           std::span<float> output) {
  const int32_t x0 = std::max(left, 0);
  const int32_t x1 = std::min(left + width, width);
  std::fill(output.begin(), output.end(), 0.0f);
  if (x0 >= x1) return;
  for (int64_t c = 0; c < 3; ++c) {
    for (int32_t y = std::max(top, 0); y < std::min(top + height, height); ++y) {
      const float* from = planes.data() + (c * height + y - top) * width - left;
      std::copy(from + x0, from + x1, output.data() + (c * height + y) * width + x0);
    }
  }
}

void erase(const Box& box, int32_t width, int32_t height, std::span<float> output) {
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = box.top; y < box.top + box.height; ++y) {
      float* row = output.data() + (c * height + y) * width + box.left;
      std::fill(row, row + box.width, 0.0f);
    }
  }
}

// A sample's random numbers, a stream a step.
class Draws {
 public:
  explicit Draws(const AugmentKey& key)
      : base_(Random(key.seed, RandomUse::kAugment, static_cast<uint64_t>(key.epoch),
                     static_cast<uint64_t>(key.sample))
                  .next()) {}

  Random of(Step step) const {
    return Random(base_, RandomUse::kAugment, static_cast<uint64_t>(step));
  }
  // Left and top.
  std::pair<int32_t, int32_t> shift(int32_t pad) const {
    if (pad == 0) return {0, 0};
    Random draws = of(Step::kPad);
    const auto places = static_cast<uint64_t>(2 * pad + 1);
    const int32_t left = static_cast<int32_t>(draws.below(places)) - pad;
    return {left, static_cast<int32_t>(draws.below(places)) - pad};
  }
  std::optional<Box> erasing(const RandomErasing& how, int32_t width, int32_t height) const {
    Random draws = of(Step::kErase);
    if (!draws.chance(how.probability)) return std::nullopt;
    return draw_erasing(how, width, height, draws);
  }

 private:
  uint64_t base_;
};

// What comes before normalising.
Image make_view(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height,
                const Augmentation& augmentation, const Draws& of_sample) {
  Image view;
  if (augmentation.resized_crop.enabled) {
    Random draws = of_sample.of(Step::kCrop);
    const Box box = draw_resized_crop(augmentation.resized_crop, image.width, image.height, draws);
    view = resize(crop(image, box.left, box.top, box.width, box.height), width, height);
  } else {
    view = fit(image, preprocess, width, height);
  }
  assert(view.width == width && view.height == height);
  if (of_sample.of(Step::kFlip).chance(augmentation.flip)) view = flip_horizontal(view);
  const ColorJitter& jitter = augmentation.jitter;
  if (jitter.brightness > 0 || jitter.contrast > 0 || jitter.saturation > 0 || jitter.hue > 0) {
    Random draws = of_sample.of(Step::kJitter);
    jitter_colors(view, jitter, draws);
  }
  return view;
}

}  // namespace

Result<Augmentation> find_augmentation(std::string_view name) {
  for (const Named& one : known()) {
    if (one.name == name) return one.augmentation;
  }
  return Error{ErrorCode::kInvalidInput, fmt::format("no augmentation is named '{}'; there are {}",
                                                     name, fmt::join(augmentation_names(), ", "))};
}

std::vector<std::string> augmentation_names() {
  std::vector<std::string> names;
  for (Named& one : known()) names.push_back(std::move(one.name));
  return names;
}

Status check_augmentation(const Augmentation& augmentation) {
  const auto& [resized_crop, pad, flip, jitter, erasing] = augmentation;
  const auto probability = [](double value) { return value >= 0 && value <= 1; };
  CALDERA_TRY(check_scale("the random resized crop", resized_crop.scale, resized_crop.ratio));
  CALDERA_TRY(check_scale("random erasing", erasing.scale, erasing.ratio));
  if (pad < 0 || pad > 1 << 14) return invalid("the padding must be from 0 to 16384 pixels");
  if (!probability(flip)) return invalid("the probability of a flip must be from 0 to 1");
  if (!probability(erasing.probability)) {
    return invalid("the probability of random erasing must be from 0 to 1");
  }
  for (const double spread : {jitter.brightness, jitter.contrast, jitter.saturation}) {
    if (!(spread >= 0 && std::isfinite(spread))) {
      return invalid("brightness, contrast and saturation must be at least 0");
    }
  }
  if (!(jitter.hue >= 0 && jitter.hue <= 0.5)) return invalid("hue must be from 0 to 0.5");
  return {};
}

void augment(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height,
             const Augmentation& augmentation, const AugmentKey& key, std::span<float> output) {
  assert(output.size() == size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height));
  const Draws draws(key);
  const Image view = make_view(image, preprocess, width, height, augmentation, draws);
  if (augmentation.pad > 0) {
    std::vector<float> planes(output.size());
    normalize(view, preprocess, planes);
    const auto [left, top] = draws.shift(augmentation.pad);
    shift(planes, width, height, left, top, output);
  } else {
    normalize(view, preprocess, output);
  }
  if (const auto box = draws.erasing(augmentation.erasing, width, height))
    erase(*box, width, height, output);
}

void augment(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height,
             const Augmentation& augmentation, const AugmentKey& key, std::span<uint8_t> output) {
  assert(output.size() == size_t{4} * static_cast<size_t>(width) * static_cast<size_t>(height));
  const Draws draws(key);
  const Image view = make_view(image, preprocess, width, height, augmentation, draws);
  const auto [left, top] = draws.shift(augmentation.pad);
  uint8_t* to = output.data();
  for (int32_t y = 0; y < height; ++y) {
    for (int32_t x = 0; x < width; ++x, to += 4) {
      const int32_t from_x = x - left;
      const int32_t from_y = y - top;
      const bool inside = from_x >= 0 && from_x < width && from_y >= 0 && from_y < height;
      const size_t at = (static_cast<size_t>(inside ? from_y : 0) * static_cast<size_t>(width) +
                         static_cast<size_t>(inside ? from_x : 0)) *
                        3;
      for (size_t c = 0; c < 3; ++c) to[c] = inside ? view.pixels[at + c] : uint8_t{0};
      to[3] = inside ? 255 : 0;
    }
  }
  if (const auto box = draws.erasing(augmentation.erasing, width, height)) {
    for (int64_t y = box->top; y < box->top + box->height; ++y) {
      uint8_t* row = output.data() + (y * width + box->left) * 4;
      std::fill(row, row + box->width * 4, uint8_t{0});
    }
  }
}

}  // namespace caldera
