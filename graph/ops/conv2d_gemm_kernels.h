// Convolutions and linear layers as products of matrices in tiles, for GPUs: by vector units in
// shared memory (conv2d_gemm).
#pragma once

#include <span>

#include "graph/kernel.h"

namespace caldera {

std::span<const KernelVariant> conv2d_gemm_kernels();
std::span<const KernelVariant> linear_gemm_kernels();

}  // namespace caldera
