// Weight gradients as products of matrices in tiles, for GPUs: gradients [channel][pixel] times
// inputs [pixel][place], where a place is a filter's tap and four, or eight, input channels. By
// vector units in shared memory (conv2d_weight_gradient_gemm) or, in fp16, by matrix units
// (conv2d_weight_gradient_coopmat).
#pragma once

#include <span>

#include "graph/kernel.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/weight_gradient_problem.h"

namespace caldera {

// Of sums that a workgroup holds, over the pixels of one part.
struct GradientTile {
  uint32_t channels = 0;     // Of dy.
  uint32_t columns = 0;      // Input channels under a tap, `wide` a place.
  uint32_t step = 0;         // Pixels.
  uint32_t part_pixels = 0;  // That a part sums at least: parts have to be added up too.
  uint32_t wide = 4;

  uint32_t places() const { return columns / wide; }
};

// Whether tiles of whole vectors fit the node's groups, and its images bindings.
bool is_gradient_product(const KernelContext& context);

// Tiles of a part, and the parts that are wanted of so many.
uint64_t gradient_tiles(const WeightGradientProblem& problem, const GradientTile& tile);
uint64_t gradient_parts(const Capabilities& capabilities, const WeightGradientProblem& problem,
                        const GradientTile& tile);

// What the product is guessed to take. That of adding parts up is left out: it is little.
double guessed_seconds(const KernelContext& context, const GradientTile& tile, KernelRate rate,
                       double processor_rate = kGpuRate);

// Appends the dispatches of a tile's shader, in workgroups of so many invocations. `constants`
// begin as the shader's constant 1; a subgroup size of 0 asks for none.
void emit_gradient_product(Emitter& emitter, const Node& node, ShaderId shader,
                           const GradientTile& tile, uint32_t invocations,
                           std::span<const uint32_t> constants, uint32_t subgroup_size = 0);

// For conv2d_weight_gradient's list.
std::span<const KernelVariant> weight_gradient_gemm_kernels();
std::span<const KernelVariant> weight_gradient_coopmat_kernels();

}  // namespace caldera
