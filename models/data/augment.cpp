// One sample's augmentation, in torchvision's order: crop and resize, mirror, colours, normalise,
// pad and crop, erase. Every step draws from its own stream of the sample's key, so that turning
// one on or off leaves the others' choices alone.
#include "caldera/augment.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

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
  const uint64_t base = Random(key.seed, RandomUse::kAugment, static_cast<uint64_t>(key.epoch),
                               static_cast<uint64_t>(key.sample))
                            .next();
  const auto random = [&](Step step) {
    return Random(base, RandomUse::kAugment, static_cast<uint64_t>(step));
  };

  Image view;
  if (augmentation.resized_crop.enabled) {
    Random draws = random(Step::kCrop);
    const Box box = draw_resized_crop(augmentation.resized_crop, image.width, image.height, draws);
    view = resize(crop(image, box.left, box.top, box.width, box.height), width, height);
  } else {
    view = fit(image, preprocess, width, height);
  }
  assert(view.width == width && view.height == height);
  if (random(Step::kFlip).chance(augmentation.flip)) view = flip_horizontal(view);
  const ColorJitter& jitter = augmentation.jitter;
  if (jitter.brightness > 0 || jitter.contrast > 0 || jitter.saturation > 0 || jitter.hue > 0) {
    Random draws = random(Step::kJitter);
    jitter_colors(view, jitter, draws);
  }

  if (augmentation.pad > 0) {
    std::vector<float> planes(output.size());
    normalize(view, preprocess, planes);
    Random draws = random(Step::kPad);
    const auto places = static_cast<uint64_t>(2 * augmentation.pad + 1);
    const int32_t left = static_cast<int32_t>(draws.below(places)) - augmentation.pad;
    const int32_t top = static_cast<int32_t>(draws.below(places)) - augmentation.pad;
    shift(planes, width, height, left, top, output);
  } else {
    normalize(view, preprocess, output);
  }
  Random draws = random(Step::kErase);
  if (draws.chance(augmentation.erasing.probability)) {
    const auto box = draw_erasing(augmentation.erasing, width, height, draws);
    if (box) erase(*box, width, height, output);
  }
}

}  // namespace caldera
