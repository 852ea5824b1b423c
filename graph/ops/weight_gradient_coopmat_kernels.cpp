// conv2d_weight_gradient_coopmat in tiles of several sizes, as conv2d_coopmat has them. The
// matrices' shape is the device's.
#include <algorithm>
#include <array>

#include "graph/ops/cooperative_fit.h"
#include "graph/ops/weight_gradient_product.h"

namespace caldera {

namespace {

struct Tile {
  uint32_t channels;
  uint32_t columns;
  uint32_t part_channels;  // Of a subgroup.
  uint32_t part_columns;
  KernelRate rate;

  constexpr uint32_t subgroups() const {
    return channels / part_channels * (columns / part_columns);
  }
  // Matrix units sum so fast that a part of fewer pixels would take longer to be added up.
  GradientTile sums(uint32_t step) const {
    return {channels, columns, step, /*part_pixels=*/1024, /*wide=*/8};
  }
};

// The rates on GPUs are what these tiles reached of an H200's best (docs/kernels.md).
constexpr Tile k128x128{128, 128, 64, 32, {0.50, 0.3e9}};
constexpr Tile k64x64{64, 64, 32, 32, {0.32, 0.4e9}};
constexpr Tile k32x32{32, 32, 16, 16, {0.12, 0.5e9}};

// Pixels that a step may take: the first of these that fits. The last is for small tiles of
// subgroups of 64, each of whose invocations has something to load.
constexpr std::array<uint32_t, 3> kSteps = {32, 16, 64};

// As weight_gradient_coopmat.comp declares it, in rows of 16 bytes.
uint64_t shared_bytes(const Tile& tile, const CooperativeFit& fit) {
  const uint64_t operands = uint64_t{fit.step} * (tile.channels / 8 + 1 + tile.columns / 8 + 1);
  const uint64_t results = uint64_t{tile.subgroups()} * fit.shape.m * (tile.part_columns / 4 + 1);
  return 16 * std::max(operands, results);
}

bool divides(const Capabilities& capabilities, const Tile& tile, const CooperativeFit& fit) {
  const uint32_t invocations = tile.subgroups() * capabilities.subgroup_size;
  const auto loads_evenly = [&](uint32_t loads_a_pixel) {
    return invocations % loads_a_pixel == 0 && fit.step * loads_a_pixel % invocations == 0;
  };
  return tile.part_channels % fit.shape.m == 0 && tile.part_columns % fit.shape.n == 0 &&
         fit.shape.m % 8 == 0 && fit.shape.n % 8 == 0 && fit.step % fit.shape.k == 0 &&
         loads_evenly(tile.channels / 8) && loads_evenly(tile.columns / 8);
}

// The shape and step, in pixels, that a tile takes on a device, where it can be had there.
std::optional<CooperativeFit> fit(const Capabilities& capabilities, const Tile& tile) {
  return cooperative_fit(capabilities, tile.subgroups(), kSteps,
                         [&](const CooperativeFit& candidate) {
                           return divides(capabilities, tile, candidate) &&
                                  shared_bytes(tile, candidate) <= capabilities.max_shared_memory;
                         });
}

// Loads are of eight channels: whole ones of a group, or of two taps of up to four channels.
bool loads_are_whole(const WeightGradientProblem& problem) {
  const int64_t groups = problem.attrs.groups;
  return problem.weight[0] > 4 &&
         (groups == 1 || (problem.weight[1] % 8 == 0 && problem.weight[0] / groups % 8 == 0));
}

template <const Tile& tile>
bool supported(const KernelContext& context) {
  return context.storage() == Storage::kF16 &&
         !shader_spirv(ShaderId::weight_gradient_coopmat).empty() &&
         fit(context.capabilities, tile) && is_gradient_product(context) &&
         loads_are_whole(WeightGradientProblem(context));
}

template <const Tile& tile>
void emit(Emitter& emitter, const Node& node) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const auto [shape, step] = fit(emitter.capabilities(), tile).value();
  const GradientTile sums = tile.sums(step);
  const bool pairs = WeightGradientProblem(emitter.graph(), node).x.c4() == 1;
  const std::array constants{
      tile.channels, sums.places(), step,  tile.part_channels, tile.part_columns,     shape.m,
      shape.n,       shape.k,       lanes, uint32_t{pairs},    emitter.rolls_stores()};
  emit_gradient_product(emitter, node, ShaderId::weight_gradient_coopmat, sums,
                        tile.subgroups() * lanes, constants, lanes);
}

template <const Tile& tile>
double cost(const KernelContext& context) {
  const uint32_t step = fit(context.capabilities, tile).value().step;
  return guessed_seconds(context, tile.sums(step), tile.rate, kGpuMatrixRate);
}

template <const Tile& tile>
constexpr KernelVariant variant(std::string_view name) {
  return {.name = name,
          .supported = supported<tile>,
          .emit = emit<tile>,
          .cost = cost<tile>,
          .whole_batch = true};
}

constexpr KernelVariant kVariants[] = {
    variant<k128x128>("conv2d_weight_gradient_coopmat_128x128"),
    variant<k64x64>("conv2d_weight_gradient_coopmat_64x64"),
    variant<k32x32>("conv2d_weight_gradient_coopmat_32x32"),
};

}  // namespace

std::span<const KernelVariant> weight_gradient_coopmat_kernels() {
  return kVariants;
}

}  // namespace caldera
