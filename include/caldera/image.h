// Images from files to network input: decoding, resizing, cropping, normalising.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

namespace caldera {

// 8-bit RGB, interleaved, row-major.
struct Image {
  int32_t width = 0;
  int32_t height = 0;
  std::vector<uint8_t> pixels;  // width * height * 3
};

// JPEG, PNG or BMP, told by content; grey becomes RGB, alpha is dropped. Images beyond 2^28 pixels
// are refused.
Result<Image> decode_image(std::span<const uint8_t> file_bytes, std::string_view name);
Result<Image> read_image(const std::filesystem::path& path);

// Bilinear with antialiasing: torchvision's and Pillow's, whose triangle filter widens by the
// scale when shrinking, in 8 bits.
Image resize(const Image& image, int32_t width, int32_t height);
// The shorter side becomes `size`, the longer one in proportion, rounded down as torchvision does.
Image resize_shorter_side(const Image& image, int32_t size);
// Where the image is smaller than the crop, black is added around it, as torchvision does.
Image crop(const Image& image, int32_t left, int32_t top, int32_t width, int32_t height);
Image center_crop(const Image& image, int32_t width, int32_t height);
Image flip_horizontal(const Image& image);

// How an image becomes a network's input.
struct Preprocess {
  std::string name = "none";   // "imagenet", "cifar10", "none" or "custom"
  int32_t resize_shorter = 0;  // 0: not resized.
  int32_t crop_width = 0;      // 0: not cropped.
  int32_t crop_height = 0;
  std::array<float, 3> mean{0, 0, 0};  // Of pixels / 255, in RGB order.
  std::array<float, 3> std{1, 1, 1};

  friend bool operator==(const Preprocess&, const Preprocess&) = default;
};

// "imagenet": shorter side 256, centre crop 224. "cifar10": mean and std alone, 32x32 as it is.
// "none": pixels / 255.
Result<Preprocess> find_preprocess(std::string_view name);
std::vector<std::string> preprocess_names();
// As JSON, and back (checked, since files hold it).
std::string to_json(const Preprocess& preprocess);
Result<Preprocess> preprocess_from_json(std::string_view json);

// What normalize() makes of each byte of each channel.
std::array<std::array<float, 256>, 3> pixel_values(const Preprocess& preprocess);
// Writes [3, H, W] float32: (pixel / 255 - mean) / std. Precondition: the sizes agree.
void normalize(const Image& image, const Preprocess& preprocess, std::span<float> output);

// Resize and crop as `preprocess` says, to `width` x `height` where it does not crop (an image of
// another size is then resized to it).
Image fit(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height);

// The ten crops of the papers: four corners and the centre, each with its mirror image.
std::vector<Image> ten_crop(const Image& image, int32_t width, int32_t height);

}  // namespace caldera
