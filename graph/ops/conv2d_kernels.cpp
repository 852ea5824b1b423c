// The ways to run conv2d.
#include <cmath>
#include <vector>

#include "graph/align.h"
#include "graph/ops/conv2d_coopmat_kernels.h"
#include "graph/ops/conv2d_gemm_kernels.h"
#include "graph/ops/conv2d_problem.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/conv2d_subgroup_kernels.h"

namespace caldera {

namespace {

// conv2d_tile
constexpr uint32_t kTilePixels = 4;

bool tile_supported(const KernelContext& context) {
  return groups_are_whole_vectors(Conv2dProblem(context), 4);
}

void emit_tile(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  const uint64_t pixel_tiles = ceil_div(p.pixels, kTilePixels);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_tile, p,
                   conv2d_bindings(emitter, node, WeightLayout::kOhwi), pixel_tiles * p.out_c4);
}

// conv2d_depthwise
bool depthwise_supported(const KernelContext& context) {
  const Conv2dProblem problem(context);
  return problem.attrs.groups > 1 && problem.group_in() == 1 && problem.group_out() == 1;
}

void emit_depthwise(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_depthwise, p,
                   conv2d_bindings(emitter, node, WeightLayout::kTapsFirst),
                   uint64_t{p.pixels} * p.out_c4);
}

// conv2d_direct
void emit_direct(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_direct, p,
                   conv2d_bindings(emitter, node, WeightLayout::kOhwi),
                   uint64_t{p.pixels} * p.out_c4 * 4);
}

// Costs.
double taps_by_inputs(const shader::Conv2dParams& p) {
  return static_cast<double>(p.kernel_h) * p.kernel_w * p.group_in;
}

double depthwise_cost(const KernelContext& context) {
  const shader::Conv2dParams p = conv2d_params(context);
  return guessed_seconds_of_invocations(context.capabilities, double{1} * p.pixels * p.out_c4,
                                        4 * taps_by_inputs(p), kDepthwiseRate);
}

double tile_cost(const KernelContext& context) {
  const shader::Conv2dParams p = conv2d_params(context);
  return guessed_seconds_of_invocations(context.capabilities,
                                        std::ceil(double{1} * p.pixels / kTilePixels) * p.out_c4,
                                        4 * kTilePixels * taps_by_inputs(p), kTileRate);
}

double direct_cost(const KernelContext& context) {
  const shader::Conv2dParams p = conv2d_params(context);
  return guessed_seconds_of_invocations(context.capabilities, 4.0 * p.pixels * p.out_c4,
                                        taps_by_inputs(p), kDirectRate);
}

std::vector<KernelVariant> list_variants() {
  std::vector<KernelVariant> list{{.name = "conv2d_depthwise",
                                   .supported = depthwise_supported,
                                   .emit = emit_depthwise,
                                   .cost = depthwise_cost}};
  for (const auto family :
       {conv2d_subgroup_kernels(), conv2d_coopmat_kernels(), conv2d_gemm_kernels()}) {
    list.insert(list.end(), family.begin(), family.end());
  }
  list.push_back(
      {.name = "conv2d_tile", .supported = tile_supported, .emit = emit_tile, .cost = tile_cost});
  list.push_back({.name = "conv2d_direct", .emit = emit_direct, .cost = direct_cost});
  return list;
}

}  // namespace

std::span<const KernelVariant> conv2d_kernels() {
  static const std::vector<KernelVariant> variants = list_variants();
  return variants;
}

}  // namespace caldera
