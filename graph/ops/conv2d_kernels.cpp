// The ways to run conv2d.
#include <vector>

#include "graph/ops/conv2d_coopmat_kernels.h"
#include "graph/ops/conv2d_gemm_kernels.h"
#include "graph/ops/conv2d_problem.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/conv2d_subgroup_kernels.h"

namespace caldera {

namespace {

constexpr double kInvocations = 64;  // Of a workgroup, as guesses have it.

// All of an invocation's work, where it makes `outputs` output elements.
double cost(const KernelContext& context, double outputs, KernelRate rate) {
  const ImageShape out = context.shape(context.node.output);
  const double made = static_cast<double>(out.n * out.pixels()) * out.c4() * 4;
  const double multiply_adds_each =
      static_cast<double>(multiply_adds(context.graph, context.node)) / made * outputs;
  return guessed_seconds(context.capabilities, made / outputs / kInvocations,
                         multiply_adds_each * kInvocations, rate);
}

// conv2d_tile
constexpr uint32_t kTilePixels = 4;

bool tile_supported(const KernelContext& context) {
  return groups_are_whole_vectors(Conv2dProblem(context), 4);
}

void emit_tile(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  const uint64_t pixel_tiles = (p.pixels + kTilePixels - 1) / kTilePixels;
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

double tile_cost(const KernelContext& context) {
  return cost(context, kTilePixels * 4, kTileRate);
}

double direct_cost(const KernelContext& context) {
  return cost(context, 1, kDirectRate);
}

std::vector<KernelVariant> list_variants() {
  std::vector<KernelVariant> list{{"conv2d_depthwise", depthwise_supported, emit_depthwise}};
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
