// conv2d_gemm in tiles of several sizes: a large tile reuses more of what it loads, a small one
// wastes less at the edges and lets more processors work.
#include "graph/ops/conv2d_gemm_kernels.h"

#include "graph/ops/conv2d_rates.h"
#include "graph/ops/matrix_product.h"

namespace caldera {

namespace {

struct Tile {
  uint32_t pixels;
  uint32_t channels;
  uint32_t rows;      // Pixels an invocation.
  uint32_t columns4;  // Vectors of channels an invocation.
  KernelRate rate;
  uint32_t step4 = 4;  // Vectors of k a step.

  constexpr uint32_t invocations() const { return pixels / rows * (channels / 4 / columns4); }
  constexpr uint32_t shared_bytes() const { return 2 * (pixels + channels) * step4 * 16; }
  // Every invocation loads as much as any other.
  constexpr bool even() const {
    return pixels % 8 == 0 && pixels * step4 % invocations() == 0 &&
           channels * step4 % invocations() == 0 && invocations() % step4 == 0 &&
           invocations() % (channels / 4) == 0;
  }
};

constexpr Tile k128x128{128, 128, 8, 2, {0.70, 0.8e9}};
constexpr Tile k128x64{128, 64, 8, 2, {0.60, 0.9e9}};
constexpr Tile k64x64{64, 64, 4, 2, {0.50, 1.0e9}};
constexpr Tile k32x64{32, 64, 4, 1, {0.35, 1.1e9}};
constexpr Tile k32x32{32, 32, 4, 1, {0.25, 1.2e9}};
static_assert(k128x128.even() && k128x64.even() && k64x64.even() && k32x64.even() && k32x32.even());
static_assert(k128x128.shared_bytes() <= 32768);  // What most GPUs give a workgroup.

template <const Tile& tile>
bool supported(const KernelContext& context) {
  return context.capabilities.runs_workgroup(tile.invocations(), tile.shared_bytes()) &&
         is_matrix_product(context);
}

template <const Tile& tile>
void emit(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = product_params(emitter.graph(), node, emitter.images());
  Dispatch& dispatch = emitter.dispatch(
      id_of(emitter.graph(), node), ShaderId::conv2d_gemm, p, product_bindings(emitter, node),
      product_tiles(p, tile.pixels, tile.channels) * tile.invocations(), tile.invocations());
  dispatch.constants.insert(dispatch.constants.end(),
                            {tile.pixels, tile.channels, tile.step4, tile.rows, tile.columns4});
}

template <const Tile& tile>
double cost(const KernelContext& context) {
  const shader::Conv2dParams p = product_params(context);
  return guessed_seconds(context.capabilities,
                         static_cast<double>(product_tiles(p, tile.pixels, tile.channels)),
                         tile_work(p, tile.pixels, tile.channels, tile.step4 * 4), tile.rate);
}

template <const Tile& tile>
constexpr KernelVariant variant(std::string_view name) {
  return {.name = name, .supported = supported<tile>, .emit = emit<tile>, .cost = cost<tile>};
}

constexpr KernelVariant kConv2d[] = {
    variant<k128x128>("conv2d_gemm_128x128"), variant<k128x64>("conv2d_gemm_128x64"),
    variant<k64x64>("conv2d_gemm_64x64"),     variant<k32x64>("conv2d_gemm_32x64"),
    variant<k32x32>("conv2d_gemm_32x32"),
};
constexpr KernelVariant kLinear[] = {
    variant<k64x64>("linear_gemm_64x64"),
    variant<k32x32>("linear_gemm_32x32"),
};

}  // namespace

std::span<const KernelVariant> conv2d_gemm_kernels() {
  return kConv2d;
}

std::span<const KernelVariant> linear_gemm_kernels() {
  return kLinear;
}

}  // namespace caldera
