// A parameter's floats, as PyTorch orders them, into one of the layouts that kernels read.
#pragma once

#include <span>

#include "graph/dispatch.h"

namespace caldera {

// `scales`: a factor for each output channel (the first dimension); empty: none. `packed` holds
// packed_bytes(shape, layout, precision) bytes; all are written.
void pack_weight(std::span<const float> values, const Shape& shape, std::span<const double> scales,
                 WeightLayout layout, Precision precision, std::span<std::byte> packed);

}  // namespace caldera
