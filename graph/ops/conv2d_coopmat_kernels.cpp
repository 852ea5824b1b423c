// conv2d_coopmat in tiles of several sizes, and linear layers by the same shader. The matrices'
// shape is the device's: the largest that it multiplies as halves and sums as floats.
#include "graph/ops/conv2d_coopmat_kernels.h"

#include <algorithm>
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
  uint32_t step;         // Along k; half of it where shared memory is too little.
  uint32_t part_pixels;  // Of a subgroup.
  uint32_t part_channels;
  KernelRate rate;

  constexpr uint32_t subgroups() const { return pixels / part_pixels * (channels / part_channels); }
};

// The rates on GPUs are what these tiles reached of an H200's best (docs/kernels.md).
constexpr Tile k128x256{128, 256, 32, 64, 64, {0.88, 0.2e9}};
constexpr Tile k256x128{256, 128, 32, 64, 64, {0.84, 0.2e9}};
constexpr Tile k128x128{128, 128, 64, 64, 32, {0.80, 0.3e9}};
constexpr Tile k256x64{256, 64, 64, 64, 32, {0.68, 0.3e9}};
constexpr Tile k128x64{128, 64, 32, 64, 32, {0.62, 0.3e9}};
constexpr Tile k64x64{64, 64, 64, 32, 32, {0.50, 0.4e9}};
constexpr Tile k32x64{32, 64, 64, 16, 32, {0.30, 0.4e9}};
constexpr Tile k32x32{32, 32, 128, 16, 16, {0.18, 0.5e9}};

// As conv2d_coopmat.comp declares it, in rows of 16 bytes.
uint64_t shared_bytes(const Tile& tile, const CooperativeFit& fit) {
  const uint64_t operands =
      uint64_t{tile.pixels} * (fit.step / 8 + 1) + uint64_t{fit.step} * (tile.channels / 8 + 1);
  const uint64_t results = uint64_t{tile.subgroups()} * fit.shape.m * (tile.part_channels / 4 + 1);
  return 16 * std::max(operands, results);
}

bool divides(const Capabilities& capabilities, const Tile& tile, const CooperativeFit& fit) {
  const uint32_t invocations = tile.subgroups() * capabilities.subgroup_size;
  const uint32_t step8 = fit.step / 8;
  const uint32_t channels8 = tile.channels / 8;
  return tile.part_pixels % fit.shape.m == 0 && tile.part_channels % fit.shape.n == 0 &&
         fit.shape.n % 8 == 0 && fit.shape.k % 8 == 0 && fit.step % fit.shape.k == 0 &&
         // A pixel of a subgroup's part is finished by whole lanes.
         capabilities.subgroup_size % (tile.part_channels / 8) == 0 &&
         // Every invocation loads as much as any other.
         invocations % step8 == 0 && invocations % channels8 == 0 &&
         tile.pixels * step8 % invocations == 0 && fit.step * channels8 % invocations == 0;
}

// The shape and step, of k, that a tile takes on a device, where it can be had there.
std::optional<CooperativeFit> fit(const Capabilities& capabilities, const Tile& tile) {
  const std::array<uint32_t, 2> steps = {tile.step, tile.step / 2};
  return cooperative_fit(capabilities, tile.subgroups(), steps,
                         [&](const CooperativeFit& candidate) {
                           return divides(capabilities, tile, candidate) &&
                                  shared_bytes(tile, candidate) <= capabilities.max_shared_memory;
                         });
}

// Loads are of eight channels: whole ones of a group, or of two pixels of up to four channels.
bool loads_are_whole(const shader::Conv2dParams& p) {
  const bool one_group = p.group_out == p.out_c;
  return p.out_c > 4 && (one_group || (p.group_in % 8 == 0 && p.group_out % 8 == 0));
}

template <const Tile& tile>
bool supported(const KernelContext& context) {
  return context.storage() == Storage::kF16 && !shader_spirv(ShaderId::conv2d_coopmat).empty() &&
         fit(context.capabilities, tile) && is_matrix_product(context) &&
         loads_are_whole(product_params(context));
}

template <const Tile& tile>
void emit(Emitter& emitter, const Node& node) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const auto [shape, step] = fit(emitter.capabilities(), tile).value();
  const shader::Conv2dParams p = product_params(emitter.graph(), node, emitter.images());
  const uint32_t invocations = tile.subgroups() * lanes;
  Dispatch& dispatch = emitter.dispatch(
      id_of(emitter.graph(), node), ShaderId::conv2d_coopmat, p, product_bindings(emitter, node),
      product_tiles(p, tile.pixels, tile.channels) * invocations, invocations);
  const bool pairs = p.in_c4 == 1;
  dispatch.constants.insert(
      dispatch.constants.end(),
      {tile.pixels, tile.channels, step, tile.part_pixels, tile.part_channels, shape.m, shape.n,
       shape.k, lanes, uint32_t{pairs}, emitter.rolls_stores(), p.epilogue});
  dispatch.required_subgroup_size = lanes;
}

template <const Tile& tile>
double cost(const KernelContext& context) {
  const uint32_t step = fit(context.capabilities, tile).value().step;
  const shader::Conv2dParams p = product_params(context);
  return guessed_seconds(context.capabilities,
                         static_cast<double>(product_tiles(p, tile.pixels, tile.channels)),
                         tile_work(p, tile.pixels, tile.channels, step), tile.rate, kGpuMatrixRate);
}

template <const Tile& tile>
constexpr KernelVariant variant(std::string_view name) {
  return {.name = name, .supported = supported<tile>, .emit = emit<tile>, .cost = cost<tile>};
}

constexpr KernelVariant kConv2d[] = {
    variant<k128x256>("conv2d_coopmat_128x256"), variant<k256x128>("conv2d_coopmat_256x128"),
    variant<k128x128>("conv2d_coopmat_128x128"), variant<k256x64>("conv2d_coopmat_256x64"),
    variant<k128x64>("conv2d_coopmat_128x64"),   variant<k64x64>("conv2d_coopmat_64x64"),
    variant<k32x64>("conv2d_coopmat_32x64"),     variant<k32x32>("conv2d_coopmat_32x32"),
};
constexpr KernelVariant kLinear[] = {
    variant<k128x128>("linear_coopmat_128x128"),
    variant<k64x64>("linear_coopmat_64x64"),
    variant<k32x64>("linear_coopmat_32x64"),
    variant<k32x32>("linear_coopmat_32x32"),
};

}  // namespace

std::span<const KernelVariant> conv2d_coopmat_kernels() {
  return kConv2d;
}

std::span<const KernelVariant> linear_coopmat_kernels() {
  return kLinear;
}

}  // namespace caldera
