// The variants of conv2d_weight_gradient by Winograd's transforms, for its list.
#pragma once

#include <span>

#include "graph/kernel.h"

namespace caldera {

std::span<const KernelVariant> weight_gradient_winograd_kernels();

}  // namespace caldera
