#include "models/views.h"

#include <algorithm>

namespace caldera {

namespace {

constexpr size_t kHeader = 2;  // Height and width, exact in a float.

// At least as large as `size`, so that no crop reaches outside.
Image grown_to(const Image& image, Size2d size) {
  if (image.width >= size.w && image.height >= size.h) return image;
  return resize_shorter_side(image, std::max(size.w, size.h));
}

std::vector<Image> make_views(const Image& image, const ViewSet& set) {
  if (set.scale > 0) return {resize_shorter_side(image, set.scale)};
  if (set.count == 1) return {fit(image, set.preprocess, set.size.w, set.size.h)};
  const int32_t shorter = set.preprocess.resize_shorter;
  const Image resized = shorter > 0 ? resize_shorter_side(image, shorter) : image;
  return ten_crop(grown_to(resized, set.size), set.size.w, set.size.h);
}

size_t view_floats(int64_t height, int64_t width) {
  return static_cast<size_t>(3 * height * width);
}

}  // namespace

std::vector<ViewSet> views_of(const Model& model, const PredictorOptions& options) {
  ViewSet set{.preprocess = model.preprocess(), .size = model.input_size()};
  if (options.scales.empty()) {
    set.count = options.ten_crop ? 10 : 1;
    return {set};
  }
  std::vector<ViewSet> sets;
  for (const int32_t scale : options.scales) {
    set.scale = scale;
    set.size = {scale, scale};
    sets.push_back(set);
  }
  return sets;
}

std::vector<float> prepare_sample(const Image& image, const std::vector<ViewSet>& sets) {
  std::vector<float> sample;
  for (const ViewSet& set : sets) {
    for (const Image& view : make_views(image, set)) {
      sample.push_back(static_cast<float>(view.height));
      sample.push_back(static_cast<float>(view.width));
      const size_t start = sample.size();
      sample.resize(start + view_floats(view.height, view.width));
      normalize(view, set.preprocess, std::span(sample).subspan(start));
    }
  }
  return sample;
}

Result<std::vector<View>> views_in(std::span<const float> sample,
                                   const std::vector<ViewSet>& sets) {
  const Error foreign{ErrorCode::kInvalidInput,
                      "a sample was not made by this predictor's prepare()"};
  std::vector<View> views;
  for (size_t set = 0; set < sets.size(); ++set) {
    for (int64_t i = 0; i < sets[set].count; ++i) {
      if (sample.size() < kHeader) return foreign;
      const float height = sample[0];
      const float width = sample[1];
      sample = sample.subspan(kHeader);
      constexpr float kLargestSide = 1 << 24;
      if (!(height >= 1 && width >= 1 && height <= kLargestSide && width <= kLargestSide)) {
        return foreign;
      }
      const Size2d size{static_cast<int32_t>(height), static_cast<int32_t>(width)};
      const size_t floats = view_floats(size.h, size.w);
      if (sample.size() < floats) return foreign;
      if (sets[set].scale == 0 && size != sets[set].size) return foreign;
      views.push_back({set, size, sample.first(floats)});
      sample = sample.subspan(floats);
    }
  }
  if (!sample.empty()) return foreign;
  return views;
}

}  // namespace caldera
