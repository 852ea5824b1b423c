// A parameter's floats, as PyTorch orders them, into one of the layouts that kernels read.
#pragma once

#include <span>

#include "graph/dispatch.h"

namespace caldera {

// [O, I / groups, KH, KW] -> [I, O / groups, TH, TW] with filters mirrored, or [O, I] -> [I, O]:
// see TransposeWeightAttrs.
std::vector<float> transpose_weight(std::span<const float> values, const Shape& shape,
                                    const TransposeWeightAttrs& attrs);

// `scales`: a factor for each output channel (the first dimension); empty: none. `packed` holds
// packed_bytes(shape, layout, storage) bytes; all are written.
void pack_weight(std::span<const float> values, const Shape& shape, std::span<const double> scales,
                 WeightLayout layout, Storage storage, std::span<std::byte> packed);

// What pack_weight() made of an f32 value in kOhwi or, of [C], kVector, dense again.
std::vector<float> unpack_state(const float* packed, const Shape& shape);

}  // namespace caldera
