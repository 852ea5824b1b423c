// A parameter's floats, as PyTorch orders them, into one of the layouts that kernels read.
#pragma once

#include <span>

#include "graph/dispatch.h"

namespace caldera {

// `packed` holds packed_bytes(shape, layout) / 4 floats; all are written.
void pack_weight(std::span<const float> values, const Shape& shape, WeightLayout layout,
                 std::span<float> packed);

}  // namespace caldera
