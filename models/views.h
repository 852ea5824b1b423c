// What a predictor shows a network of an image: its views. Sets of views are immutable and shared
// with the threads that prepare samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "caldera/image.h"
#include "caldera/model.h"
#include "caldera/predictor.h"

namespace caldera {

// Views that are made alike. Models that take the same views share a set, so that an ensemble of
// like nets costs one preparation.
struct ViewSet {
  Preprocess preprocess;
  Size2d size;        // Of the views; where there is a scale, that of a square image's.
  int32_t scale = 0;  // The whole image, its shorter side this; 0: cropped as preprocessed.
  int64_t count = 1;  // 10 for ten crops.

  friend bool operator==(const ViewSet&, const ViewSet&) = default;
};

// The sets that the options ask of one model.
std::vector<ViewSet> views_of(const Model& model, const PredictorOptions& options);

// A sample: for each set in order, for each of its views, height, width, and [3, height, width].
std::vector<float> prepare_sample(const Image& image, const std::vector<ViewSet>& sets);

// One view within a sample.
struct View {
  size_t set = 0;
  Size2d size;
  std::span<const float> values;  // [3, height, width]
};

// The views of a sample, or an error where prepare_sample() did not make it from these sets.
Result<std::vector<View>> views_in(std::span<const float> sample, const std::vector<ViewSet>& sets);

}  // namespace caldera
