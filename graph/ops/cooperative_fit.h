// Which of a device's cooperative matrices a tile of halves is multiplied by, and in what steps.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/capabilities.h"

namespace caldera {

struct CooperativeFit {
  CooperativeMatrixShape shape;
  uint32_t step = 0;
};

// Of the shapes that multiply halves and sum floats the largest, with the first of `steps`, that
// `fits`; none where the device cannot run a workgroup of so many subgroups of its default size.
std::optional<CooperativeFit> cooperative_fit(
    const Capabilities& capabilities, std::span<const CooperativeMatrixShape> shapes,
    uint32_t subgroups, std::span<const uint32_t> steps,
    const std::function<bool(const CooperativeFit&)>& fits);

// The shapes, one for each of the device's granularities, by which one matrix of m x n sums is
// multiplied, k as small as each allows: that takes few registers. None where such a matrix is
// not to be had in floats or, to be stored, in halves.
std::vector<CooperativeMatrixShape> flexible_shapes(const Capabilities& capabilities, uint32_t m,
                                                    uint32_t n);

}  // namespace caldera
