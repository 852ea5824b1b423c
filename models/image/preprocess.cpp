// From a decoded image to a network's input, by a description that model files carry as JSON. The
// JSON comes from files and is checked like any other input.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "caldera/image.h"

#include "models/image/resize.h"

namespace caldera {
namespace {

// Numbers as float, so that 0.485f is written "0.485" and read back to the same bits.
using Json = nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool, int64_t,
                                  uint64_t, float>;

constexpr std::array<float, 3> kImagenetMean{0.485f, 0.456f, 0.406f};
constexpr std::array<float, 3> kImagenetStd{0.229f, 0.224f, 0.225f};
constexpr int64_t kMaxSide = 1 << 14;
constexpr size_t kMaxJsonBytes = 1 << 16;

std::vector<Preprocess> known() {
  return {
      {"imagenet", 256, 224, 224, kImagenetMean, kImagenetStd},
      {"cifar10", 0, 0, 0, kImagenetMean, kImagenetStd},
      {"none", 0, 0, 0, {0, 0, 0}, {1, 1, 1}},
  };
}

Error invalid(const std::string& what) {
  return {ErrorCode::kInvalidInput,
          "preprocessing: " + what + "; convert the model again with --preprocess"};
}

Status read_side(const Json& json, const char* key, int32_t& side) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer()) {
    return invalid(fmt::format("'{}' must be a whole number", key));
  }
  // An unsigned value beyond int64 wraps to a negative one, which is refused as well.
  const auto value = found->get<int64_t>();
  if (value < 0 || value > kMaxSide) {
    return invalid(fmt::format("'{}' must be from 0 to {}", key, kMaxSide));
  }
  side = static_cast<int32_t>(value);
  return {};
}

Status read_channels(const Json& json, const char* key, std::array<float, 3>& channels) {
  const auto found = json.find(key);
  const bool numbers = found != json.end() && found->is_array() && found->size() == 3 &&
                       std::all_of(found->begin(), found->end(),
                                   [](const Json& value) { return value.is_number(); });
  if (!numbers) return invalid(fmt::format("'{}' must be three numbers", key));
  for (size_t i = 0; i < 3; ++i) channels[i] = (*found)[i].get<float>();
  return {};
}

}  // namespace

Result<Preprocess> find_preprocess(std::string_view name) {
  for (Preprocess& preprocess : known()) {
    if (preprocess.name == name) return std::move(preprocess);
  }
  return Error{ErrorCode::kInvalidInput, fmt::format("no preprocessing is named '{}'; there are {}",
                                                     name, fmt::join(preprocess_names(), ", "))};
}

std::vector<std::string> preprocess_names() {
  std::vector<std::string> names;
  for (Preprocess& preprocess : known()) names.push_back(std::move(preprocess.name));
  return names;
}

std::string to_json(const Preprocess& preprocess) {
  const Json json{{"name", preprocess.name},
                  {"resize_shorter", preprocess.resize_shorter},
                  {"crop_width", preprocess.crop_width},
                  {"crop_height", preprocess.crop_height},
                  {"mean", preprocess.mean},
                  {"std", preprocess.std}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Preprocess> preprocess_from_json(std::string_view text) {
  if (text.size() > kMaxJsonBytes) return invalid("the JSON is over 64 KiB");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return invalid("this is not a JSON object");

  Preprocess out;
  const auto name = json.find("name");
  if (name == json.end() || !name->is_string()) return invalid("'name' must be a string");
  out.name = name->get<std::string>();
  const std::vector<std::string> names = preprocess_names();
  if (out.name != "custom" && std::find(names.begin(), names.end(), out.name) == names.end()) {
    return invalid(fmt::format("'name' must be {} or custom", fmt::join(names, ", ")));
  }
  CALDERA_TRY(read_side(json, "resize_shorter", out.resize_shorter));
  CALDERA_TRY(read_side(json, "crop_width", out.crop_width));
  CALDERA_TRY(read_side(json, "crop_height", out.crop_height));
  if ((out.crop_width == 0) != (out.crop_height == 0)) {
    return invalid("'crop_width' and 'crop_height' must both be 0 or neither");
  }
  CALDERA_TRY(read_channels(json, "mean", out.mean));
  CALDERA_TRY(read_channels(json, "std", out.std));
  for (size_t i = 0; i < 3; ++i) {
    const float mean = out.mean[i];
    const float std = out.std[i];
    // Black and white must come out finite too.
    if (!std::isfinite(mean) || !std::isfinite(std) || !(std > 0) ||
        !std::isfinite((0 - mean) / std) || !std::isfinite((1 - mean) / std)) {
      return invalid("'mean' must be finite and 'std' above 0, not beyond float's range");
    }
  }
  return out;
}

std::array<std::array<float, 256>, 3> pixel_values(const Preprocess& preprocess) {
  std::array<std::array<float, 256>, 3> values;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t value = 0; value < 256; ++value) {
      values[c][value] =
          (static_cast<float>(value) / 255.0f - preprocess.mean[c]) / preprocess.std[c];
    }
  }
  return values;
}

void normalize(const Image& image, const Preprocess& preprocess, std::span<float> output) {
  const size_t pixels = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  assert(output.size() == 3 * pixels && image.pixels.size() == 3 * pixels);
  const auto values = pixel_values(preprocess);
  for (size_t c = 0; c < 3; ++c) {
    const std::array<float, 256>& table = values[c];
    const uint8_t* from = image.pixels.data() + c;
    float* to = output.data() + c * pixels;
    for (size_t i = 0; i < pixels; ++i) to[i] = table[from[3 * i]];
  }
}

Image fit(const Image& image, const Preprocess& preprocess, int32_t width, int32_t height) {
  const bool resizes = preprocess.resize_shorter > 0;
  if (preprocess.crop_width > 0 && preprocess.crop_height > 0) {
    const int32_t crop_width = preprocess.crop_width;
    const int32_t crop_height = preprocess.crop_height;
    if (!resizes) return center_crop(image, crop_width, crop_height);
    // Only what the crop keeps is resized.
    const Extent extent = shorter_side_extent(image, preprocess.resize_shorter);
    const Offset at = center_crop_offset(extent, crop_width, crop_height);
    const Window window{std::max<int64_t>(at.left, 0), std::max<int64_t>(at.top, 0),
                        static_cast<int32_t>(std::min<int64_t>(crop_width, extent.width)),
                        static_cast<int32_t>(std::min<int64_t>(crop_height, extent.height))};
    Image kept = resize_window(image, extent.width, extent.height, window);
    if (kept.width == crop_width && kept.height == crop_height) return kept;
    return crop(kept, static_cast<int32_t>(std::min<int64_t>(at.left, 0)),
                static_cast<int32_t>(std::min<int64_t>(at.top, 0)), crop_width, crop_height);
  }
  const auto to_size = [&](const Image& from) {
    return from.width == width && from.height == height ? from : resize(from, width, height);
  };
  if (resizes) return to_size(resize_shorter_side(image, preprocess.resize_shorter));
  return to_size(image);
}

}  // namespace caldera
