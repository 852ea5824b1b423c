// A weight gradient has few tiles and many pixels, so a GPU is filled by parts of the pixels that
// are summed side by side.
#include "graph/ops/weight_gradient_product.h"

#include <algorithm>

#include "graph/align.h"
#include "graph/ops/image_runs.h"

namespace caldera {

namespace {

// Parts have to be added up, so no more than fill the processors (as an H200 had it).
uint64_t wanted_workgroups(const Capabilities& capabilities) {
  return static_cast<uint64_t>(2 * processors_of(capabilities));
}

uint64_t pixels_in_all(const WeightGradientProblem& problem) {
  return static_cast<uint64_t>(problem.dy.n * problem.dy.pixels());
}

// Places of eight channels hold two taps of up to four.
uint64_t places_of(const WeightGradientProblem& problem, uint32_t wide) {
  if (wide == 4) return problem.places();
  const uint64_t taps = uint64_t{problem.kernel_h()} * problem.kernel_w();
  return ceil_div(taps * stored_vectors(problem.weight[1]), 2);
}

}  // namespace

bool is_gradient_product(const KernelContext& context) {
  const WeightGradientProblem problem(context);
  const int64_t groups = problem.attrs.groups;
  const bool whole_vectors =
      groups == 1 || (problem.weight[1] % 4 == 0 && problem.weight[0] / groups % 4 == 0);
  return whole_vectors && parts_fit(context, context.capabilities.max_storage_buffer_range);
}

uint64_t gradient_tiles(const WeightGradientProblem& problem, const GradientTile& tile) {
  const auto groups = static_cast<uint64_t>(problem.attrs.groups);
  const uint64_t channels = uint64_t{vectors(problem.weight[0] / problem.attrs.groups)} * 4;
  return groups * ceil_div(channels, tile.channels) *
         ceil_div(places_of(problem, tile.wide), tile.places());
}

uint64_t gradient_parts(const Capabilities& capabilities, const WeightGradientProblem& problem,
                        const GradientTile& tile) {
  const uint64_t wanted = parts_for(wanted_workgroups(capabilities), gradient_tiles(problem, tile));
  return std::clamp<uint64_t>(pixels_in_all(problem) / tile.part_pixels, 1, wanted);
}

double guessed_seconds(const KernelContext& context, const GradientTile& tile, KernelRate rate,
                       double processor_rate) {
  const WeightGradientProblem problem(context);
  const uint64_t parts = gradient_parts(context.capabilities, problem, tile);
  const uint64_t pixels = round_up(ceil_div(pixels_in_all(problem), parts), tile.step);
  return guessed_seconds(
      context.capabilities, static_cast<double>(gradient_tiles(problem, tile) * parts),
      static_cast<double>(pixels) * tile.channels * tile.columns, rate, processor_rate);
}

void emit_gradient_product(Emitter& emitter, const Node& node, ShaderId shader,
                           const GradientTile& tile, uint32_t invocations,
                           std::span<const uint32_t> constants, uint32_t subgroup_size) {
  const WeightGradientProblem whole(emitter.graph(), node);
  const uint64_t tiles = gradient_tiles(whole, tile);
  emit_parts_of_pixels(
      emitter, node, gradient_parts(emitter.capabilities(), whole, tile), tile.step,
      [&](const WeightGradientProblem&, const shader::WeightGradientParams& p,
          std::vector<Binding> bindings) -> Dispatch& {
        Dispatch& dispatch =
            emitter.dispatch(id_of(emitter.graph(), node), shader, p, std::move(bindings),
                             tiles * p.parts * invocations, invocations);
        dispatch.constants.insert(dispatch.constants.end(), constants.begin(), constants.end());
        dispatch.required_subgroup_size = subgroup_size;
        return dispatch;
      });
}

}  // namespace caldera
