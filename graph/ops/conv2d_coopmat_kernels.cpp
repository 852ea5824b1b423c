// conv2d_coopmat in tiles of several sizes. The matrices' shape is the device's: the largest that
// it multiplies as halves and sums as floats. And conv2d_coopmat2, whose matrices are a subgroup's
// whole part of the tile, on devices that take them so large.
#include "graph/ops/conv2d_coopmat_kernels.h"

#include <array>
#include <optional>

#include "graph/ops/conv2d_rates.h"
#include "graph/ops/cooperative_fit.h"
#include "graph/ops/matrix_product.h"

namespace caldera {

namespace {

struct Tile {
  uint32_t pixels;
  uint32_t channels;
  uint32_t part_pixels;  // Of a subgroup.
  uint32_t part_channels;
  KernelRate rate;
  bool flexible = false;  // conv2d_coopmat2.

  constexpr uint32_t subgroups() const { return pixels / part_pixels * (channels / part_channels); }
};

constexpr Tile k128x128{128, 128, 64, 32, {0.50, 0.3e9}};
constexpr Tile k64x64{64, 64, 32, 32, {0.35, 0.4e9}};
constexpr Tile k32x32{32, 32, 16, 16, {0.12, 0.5e9}};

// Nobody has measured whether they are faster, so they are guessed a little slower than the others:
// tuning alone chooses them.
constexpr Tile kFlexible128x128{128, 128, 64, 32, {0.48, 0.29e9}, true};
constexpr Tile kFlexible64x64{64, 64, 32, 32, {0.33, 0.39e9}, true};
constexpr Tile kFlexible32x32{32, 32, 16, 32, {0.11, 0.49e9}, true};

ShaderId shader_of(const Tile& tile) {
  return tile.flexible ? ShaderId::conv2d_coopmat2 : ShaderId::conv2d_coopmat;
}

// Vectors of k that a step may take: of the first that fit, the most.
constexpr std::array<uint32_t, 2> kSteps4 = {8, 4};

// Of halves and floats, as coopmat_product.glsl and conv2d_coopmat.comp declare them.
uint64_t shared_bytes(const Tile& tile, uint32_t step4, const CooperativeMatrixShape& shape) {
  const uint64_t operands =
      2 * 8 * (uint64_t{tile.pixels} * (step4 + 2) + uint64_t{step4} * 4 * (tile.channels / 4 + 2));
  const uint64_t stage = tile.flexible ? 0 : uint64_t{tile.subgroups()} * shape.m * shape.n * 4;
  return operands + stage;
}

bool divides(const Capabilities& capabilities, const Tile& tile, const CooperativeFit& fit) {
  const uint32_t invocations = tile.subgroups() * capabilities.subgroup_size;
  return tile.part_pixels % fit.shape.m == 0 && tile.part_channels % fit.shape.n == 0 &&
         fit.shape.n % 4 == 0 && fit.step * 4 % fit.shape.k == 0 && fit.shape.k % 4 == 0 &&
         // Every invocation loads as much as any other.
         invocations % fit.step == 0 && invocations % (tile.channels / 4) == 0 &&
         tile.pixels * fit.step % invocations == 0 && fit.step * tile.channels % invocations == 0;
}

// The shape and step, in vectors of k, that a tile takes on a device, where it can be had there.
std::optional<CooperativeFit> fit(const Capabilities& capabilities, const Tile& tile) {
  const std::vector<CooperativeMatrixShape> shapes =
      tile.flexible ? flexible_shapes(capabilities, tile.part_pixels, tile.part_channels)
                    : capabilities.cooperative_matrix_shapes;
  return cooperative_fit(capabilities, shapes, tile.subgroups(), kSteps4,
                         [&](const CooperativeFit& candidate) {
                           return divides(capabilities, tile, candidate) &&
                                  shared_bytes(tile, candidate.step, candidate.shape) <=
                                      capabilities.max_shared_memory;
                         });
}

template <const Tile& tile>
bool supported(const KernelContext& context) {
  return context.storage() == Storage::kF16 && !shader_spirv(shader_of(tile)).empty() &&
         fit(context.capabilities, tile) && is_matrix_product(context);
}

template <const Tile& tile>
void emit(Emitter& emitter, const Node& node) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const auto [shape, step4] = fit(emitter.capabilities(), tile).value();
  const shader::Conv2dParams p = product_params(emitter.graph(), node, emitter.images());
  const uint32_t invocations = tile.subgroups() * lanes;
  Dispatch& dispatch = emitter.dispatch(
      id_of(emitter.graph(), node), shader_of(tile), p, product_bindings(emitter, node),
      product_tiles(p, tile.pixels, tile.channels) * invocations, invocations);
  dispatch.constants.insert(dispatch.constants.end(),
                            {tile.pixels, tile.channels, step4, tile.part_pixels,
                             tile.part_channels, shape.m, shape.n, shape.k, lanes});
  if (tile.flexible) dispatch.constants.push_back(p.epilogue);
  dispatch.required_subgroup_size = lanes;
}

template <const Tile& tile>
double cost(const KernelContext& context) {
  const uint32_t step4 = fit(context.capabilities, tile).value().step;
  const shader::Conv2dParams p = product_params(context);
  return guessed_seconds(
      context.capabilities, static_cast<double>(product_tiles(p, tile.pixels, tile.channels)),
      tile_work(p, tile.pixels, tile.channels, step4 * 4), tile.rate, kGpuMatrixRate);
}

template <const Tile& tile>
constexpr KernelVariant variant(std::string_view name) {
  return {.name = name, .supported = supported<tile>, .emit = emit<tile>, .cost = cost<tile>};
}

constexpr KernelVariant kConv2d[] = {
    variant<k128x128>("conv2d_coopmat_128x128"),
    variant<k64x64>("conv2d_coopmat_64x64"),
    variant<k32x32>("conv2d_coopmat_32x32"),
    variant<kFlexible128x128>("conv2d_coopmat2_128x128"),
    variant<kFlexible64x64>("conv2d_coopmat2_64x64"),
    variant<kFlexible32x32>("conv2d_coopmat2_32x32"),
};
constexpr KernelVariant kLinear[] = {
    variant<k64x64>("linear_coopmat_64x64"),
    variant<k32x32>("linear_coopmat_32x32"),
    variant<kFlexible64x64>("linear_coopmat2_64x64"),
    variant<kFlexible32x32>("linear_coopmat2_32x32"),
};

}  // namespace

std::span<const KernelVariant> conv2d_coopmat_kernels() {
  return kConv2d;
}

std::span<const KernelVariant> linear_coopmat_kernels() {
  return kLinear;
}

}  // namespace caldera
