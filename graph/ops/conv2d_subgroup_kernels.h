// The convolutions that hold their sums in registers and broadcast by subgroup shuffle: direct ones
// and Winograd's (docs/kernels.md). Fast on drivers that run on a CPU.
#pragma once

#include <vector>

#include "graph/kernel.h"

namespace caldera {

// For conv2d's list.
std::span<const KernelVariant> conv2d_subgroup_kernels();

}  // namespace caldera
