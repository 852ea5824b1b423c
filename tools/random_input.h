// Input for runs without images: normally distributed, as normalised images roughly are, and of
// the same bits for the same seed everywhere.
#pragma once

#include <cstdint>
#include <random>

#include "caldera/tensor.h"

namespace caldera::tool {

inline Tensor random_input(const Shape& shape, uint64_t seed) {
  // std::normal_distribution differs between standard libraries; twelve uniforms do not.
  std::mt19937_64 engine(seed);
  std::vector<float> values(element_count(shape));
  for (float& value : values) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(engine() >> 11) * 0x1p-53;
    value = static_cast<float>(sum);
  }
  return Tensor::from_floats(shape, std::move(values));
}

}  // namespace caldera::tool
