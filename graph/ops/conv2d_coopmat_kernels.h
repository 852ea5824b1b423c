// Convolutions and linear layers in fp16 as products of cooperative matrices, for GPUs with matrix
// units (conv2d_coopmat).
#pragma once

#include <span>

#include "graph/kernel.h"

namespace caldera {

std::span<const KernelVariant> conv2d_coopmat_kernels();
std::span<const KernelVariant> linear_coopmat_kernels();

}  // namespace caldera
