// Augmentation: what training does to images so that a network never sees the same one twice. All
// of it is a pure function of the image and a key (seed, epoch, sample), so that neither the number
// of threads nor a resumed run changes a bit. The methods and their defaults are torchvision's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/image.h"
#include "caldera/result.h"

namespace caldera {

// An interval to draw from.
struct Range {
  double low = 0;
  double high = 0;
};

// A rectangle of random size and shape, resized to the network's input. Szegedy et al.,
// arXiv 1409.4842, section 6. After ten draws that do not fit, the centre.
struct RandomResizedCrop {
  bool enabled = false;
  Range scale{0.08, 1.0};           // Of the image's area.
  Range ratio{3.0 / 4, 4.0 / 3.0};  // Width to height.
};

// In random order; each factor from [1 - x, 1 + x], and hue turned by up to x of the circle, at
// most 0.5. 0: left as it is.
struct ColorJitter {
  double brightness = 0;
  double contrast = 0;
  double saturation = 0;
  double hue = 0;
};

// A rectangle set to the mean colour, which is zero once normalised. Zhong et al.,
// arXiv 1708.04896.
struct RandomErasing {
  double probability = 0;
  Range scale{0.02, 0.33};  // Of the input's area.
  Range ratio{0.3, 3.3};    // Height to width.
};

struct Augmentation {
  RandomResizedCrop resized_crop{};
  // Zeros on each side after normalising, and a random crop of the input's size from that. He et
  // al., arXiv 1512.03385, section 4.2.
  int32_t pad = 0;
  double flip = 0;  // Probability of the mirror image.
  ColorJitter jitter{};
  RandomErasing erasing{};
};

// "none": the preprocessing alone. "flip": half of the images mirrored. "cifar": pad by 4, crop,
// flip. "imagenet": random resized crop, flip, and brightness, contrast and saturation by 0.4.
Result<Augmentation> find_augmentation(std::string_view name);
std::vector<std::string> augmentation_names();
// An error that names the first number that cannot be meant.
Status check_augmentation(const Augmentation& augmentation);

struct AugmentKey {
  uint64_t seed = 0;
  int64_t epoch = 0;
  int64_t sample = 0;
};

// Writes [3, height, width] float32. Without a random resized crop the image is first fitted as
// `preprocess` says. Preconditions: the augmentation passes its check; where the preprocessing
// crops, it crops to width x height.
void augment(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height,
             const Augmentation& augmentation, const AugmentKey& key, std::span<float> output);

// The same as bytes, [height, width, 4], for Pixels (caldera/pixels.h): what is zero once
// normalised is blank there. By the values of pixel_values() it becomes the same bits.
void augment(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height,
             const Augmentation& augmentation, const AugmentKey& key, std::span<uint8_t> output);

// Mixup of a batch: sample i becomes weight[i] * itself + (1 - weight[i]) * sample partner[i].
// Zhang et al., arXiv 1710.09412.
struct Mixup {
  std::vector<float> weight;     // [N], from Beta(alpha, alpha).
  std::vector<int32_t> partner;  // [N], a permutation.
};

enum class MixupWeight { kOnePerBatch, kOnePerSample };

// Pure in (seed, epoch, batch). Preconditions: alpha > 0, count > 0.
Mixup make_mixup(int64_t count, double alpha, MixupWeight weight, uint64_t seed, int64_t epoch,
                 int64_t batch);
// In place. images: [N, ...] with N = mixup.weight.size(). Precondition: N divides the size.
void apply_mixup(const Mixup& mixup, std::span<float> images);

}  // namespace caldera
