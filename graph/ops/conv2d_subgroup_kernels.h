// The convolutions that hold their sums in registers and broadcast by subgroup shuffle: direct ones
// and Winograd's (docs/kernels.md). Fast on drivers that run on a CPU.
#pragma once

#include <vector>

#include "graph/kernel.h"

namespace caldera {

// Whether subgroups have eight lanes or more, of a number that a pipeline may ask for, and shuffle.
bool subgroups_fit(const Capabilities& capabilities);

// For conv2d's list.
std::span<const KernelVariant> conv2d_subgroup_kernels();

}  // namespace caldera
