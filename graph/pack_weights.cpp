// Layout changes of parameters, on the host, once: kernels then load whole vectors.
#include "graph/pack_weights.h"

#include <algorithm>

namespace caldera {

namespace {

// [O, I, KH, KW] or [O, I] -> [O4 * 4][taps][I4 * 4]
void pack_ohwi(std::span<const float> values, const Shape& shape, std::span<float> packed) {
  const auto inputs = static_cast<size_t>(shape[1]);
  const size_t taps = shape.size() == 4 ? static_cast<size_t>(shape[2] * shape[3]) : 1;
  const size_t row = size_t{vectors(shape[1])} * 4;
  for (size_t o = 0; o < static_cast<size_t>(shape[0]); ++o) {
    for (size_t tap = 0; tap < taps; ++tap) {
      const float* from = values.data() + o * inputs * taps + tap;
      float* to = packed.data() + (o * taps + tap) * row;
      for (size_t i = 0; i < inputs; ++i) to[i] = from[i * taps];
    }
  }
}

// [C, 1, KH, KW] -> [taps][C4 * 4]
void pack_taps_first(std::span<const float> values, const Shape& shape, std::span<float> packed) {
  const auto taps = static_cast<size_t>(shape[2] * shape[3]);
  const size_t row = size_t{vectors(shape[0])} * 4;
  for (size_t c = 0; c < static_cast<size_t>(shape[0]); ++c) {
    for (size_t tap = 0; tap < taps; ++tap) packed[tap * row + c] = values[c * taps + tap];
  }
}

}  // namespace

void pack_weight(std::span<const float> values, const Shape& shape, WeightLayout layout,
                 std::span<float> packed) {
  std::fill(packed.begin(), packed.end(), 0.0f);
  switch (layout) {
    case WeightLayout::kVector:
      std::copy(values.begin(), values.end(), packed.begin());
      break;
    case WeightLayout::kOhwi:
      pack_ohwi(values, shape, packed);
      break;
    case WeightLayout::kTapsFirst:
      pack_taps_first(values, shape, packed);
      break;
  }
}

}  // namespace caldera
