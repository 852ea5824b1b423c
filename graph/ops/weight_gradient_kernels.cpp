// The ways to run conv2d_weight_gradient. Those that sum over runs of output rows are here.
#include <vector>

#include "graph/ops/conv2d_rates.h"
#include "graph/ops/conv2d_subgroup_kernels.h"
#include "graph/ops/image_runs.h"
#include "graph/ops/weight_gradient_problem.h"
#include "graph/ops/weight_gradient_product.h"
#include "graph/ops/weight_gradient_winograd_kernels.h"

namespace caldera {

namespace {

using Problem = WeightGradientProblem;

// conv2d_weight_gradient_subgroup
constexpr uint64_t kSubgroups = 64;
constexpr uint32_t kLeastStep = 4;  // Pixels; wide subgroups take more.

// Vectors of output channels that a tile holds. A CPU keeps most of its sums in memory anyhow.
uint32_t tile_blocks(const Capabilities& capabilities, const Problem& problem) {
  const int64_t group_out = problem.weight[0] / problem.attrs.groups;
  if (capabilities.cpu && group_out % 64 == 0) return 16;
  return group_out % 32 == 0 || (problem.attrs.groups == 1 && group_out > 64) ? 8 : 4;
}

uint64_t subgroup_tiles(const Problem& problem, uint32_t lanes, uint32_t blocks) {
  return ceil_div(problem.places(), lanes) *
         ceil_div(static_cast<uint64_t>(problem.weight[0]), uint64_t{blocks} * 4);
}

bool subgroup_supported(const KernelContext& context) {
  const Problem problem(context);
  const bool groups_are_whole =
      problem.attrs.groups == 1 ||
      (problem.weight[1] % 4 == 0 && problem.weight[0] / problem.attrs.groups % 16 == 0);
  const uint64_t most = texel_buffer_bytes(context.capabilities, context.storage());
  return subgroups_fit(context.capabilities) && groups_are_whole && parts_fit(context, most);
}

void emit_subgroup(Emitter& emitter, const Node& node) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const Problem whole(emitter.graph(), node);
  const uint32_t blocks = tile_blocks(emitter.capabilities(), whole);
  const uint64_t tiles = subgroup_tiles(whole, lanes, blocks);
  emit_parts(emitter, node, texel_buffer_bytes(emitter.capabilities(), emitter.storage()),
             parts_for(kSubgroups, tiles),
             [&](const Problem& problem, const shader::WeightGradientParams& p,
                 std::vector<Binding> bindings) -> Dispatch& {
               Dispatch& dispatch = emitter.dispatch(
                   id_of(emitter.graph(), node), ShaderId::weight_gradient_subgroup, p,
                   std::move(bindings), tiles * p.parts * lanes, lanes);
               dispatch.constants.insert(dispatch.constants.end(),
                                         {blocks, lanes, std::max(kLeastStep, lanes / blocks),
                                          emitter.rolls_stores(), uint32_t{problem.padded()}});
               dispatch.required_subgroup_size = lanes;
               return dispatch;
             });
}

double subgroup_cost(const KernelContext& context) {
  const Problem problem(context);
  const uint32_t lanes = context.capabilities.subgroup_size;
  const uint32_t blocks = tile_blocks(context.capabilities, problem);
  const auto tiles = static_cast<double>(subgroup_tiles(problem, lanes, blocks));
  const int64_t pixels = problem.dy.n * problem.dy.pixels();
  if (!context.capabilities.cpu) {
    return guessed_seconds(context.capabilities, tiles,
                           static_cast<double>(pixels) * lanes * 16 * blocks, kWeightGradientRate);
  }
  const int64_t rows = problem.dy.n * problem.dy.h;
  const uint64_t steps = problem.pointwise()
                             ? ceil_div(pixels, kLeastStep)
                             : static_cast<uint64_t>(rows) * ceil_div(problem.dy.w, kLeastStep);
  return software::seconds(2 * software::kDispatch +
                           tiles * (static_cast<double>(steps) * software::gradient_step(blocks) +
                                    blocks * 4 * software::kStore));
}

// conv2d_weight_gradient_direct
constexpr uint64_t kInvocations = 4096;

void emit_direct(Emitter& emitter, const Node& node) {
  const Problem whole(emitter.graph(), node);
  emit_parts(emitter, node, emitter.capabilities().max_storage_buffer_range,
             parts_for(kInvocations, whole.vectors_in_all()),
             [&](const Problem& problem, const shader::WeightGradientParams& p,
                 std::vector<Binding> bindings) -> Dispatch& {
               return emitter.dispatch(id_of(emitter.graph(), node),
                                       ShaderId::weight_gradient_direct, p, std::move(bindings),
                                       problem.vectors_in_all() * p.parts);
             });
}

double direct_cost(const KernelContext& context) {
  const Problem problem(context);
  const auto work = static_cast<double>(problem.dy.n * problem.dy.pixels()) * 4;
  return guessed_seconds_of_invocations(context.capabilities,
                                        static_cast<double>(problem.vectors_in_all()), work,
                                        kWeightGradientDirectRate);
}

std::vector<KernelVariant> list_variants() {
  std::vector<KernelVariant> list{{.name = "conv2d_weight_gradient_subgroup",
                                   .supported = subgroup_supported,
                                   .emit = emit_subgroup,
                                   .texels = true,
                                   .cost = subgroup_cost,
                                   .whole_batch = true}};
  for (const auto family : {weight_gradient_winograd_kernels(), weight_gradient_coopmat_kernels(),
                            weight_gradient_gemm_kernels()}) {
    list.insert(list.end(), family.begin(), family.end());
  }
  list.push_back({.name = "conv2d_weight_gradient_direct",
                  .emit = emit_direct,
                  .cost = direct_cost,
                  .whole_batch = true});
  return list;
}

}  // namespace

std::span<const KernelVariant> conv2d_weight_gradient_kernels() {
  static const std::vector<KernelVariant> variants = list_variants();
  return variants;
}

}  // namespace caldera
