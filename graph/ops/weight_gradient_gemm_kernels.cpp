// conv2d_weight_gradient_gemm in tiles of several sizes, as conv2d_gemm has them: a large tile
// reuses more of what it loads, a small one wastes less at the edges.
#include <array>

#include "graph/ops/conv2d_rates.h"
#include "graph/ops/weight_gradient_product.h"

namespace caldera {

namespace {

struct Tile {
  uint32_t channels;
  uint32_t columns;
  uint32_t rows4;   // Vectors of channels an invocation.
  uint32_t places;  // An invocation.
  KernelRate rate;
  uint32_t step = 16;  // Pixels.

  constexpr uint32_t invocations() const { return channels / 4 / rows4 * (columns / 4 / places); }
  constexpr uint32_t shared_bytes() const { return 2 * step * (channels + columns) * 4; }
  // Every invocation loads as much as any other.
  constexpr bool even() const {
    return step * (channels / 4) % invocations() == 0 &&
           step * (columns / 4) % invocations() == 0 && invocations() % (channels / 4) == 0 &&
           invocations() % (columns / 4) == 0;
  }
  // A part of fewer pixels would take longer to be added up than to be summed.
  GradientTile sums() const { return {channels, columns, step, /*part_pixels=*/256}; }
};

constexpr Tile k128x128{128, 128, 2, 2, {0.70, 0.8e9}};
constexpr Tile k64x128{64, 128, 2, 2, {0.60, 0.9e9}};
constexpr Tile k64x64{64, 64, 1, 2, {0.50, 1.0e9}};
constexpr Tile k32x64{32, 64, 1, 1, {0.35, 1.1e9}};
constexpr Tile k32x32{32, 32, 1, 1, {0.25, 1.2e9}};
static_assert(k128x128.even() && k64x128.even() && k64x64.even() && k32x64.even() && k32x32.even());
static_assert(k128x128.shared_bytes() <= 32768);  // What most GPUs give a workgroup.

template <const Tile& tile>
bool supported(const KernelContext& context) {
  return context.capabilities.runs_workgroup(tile.invocations(), tile.shared_bytes()) &&
         is_gradient_product(context);
}

template <const Tile& tile>
void emit(Emitter& emitter, const Node& node) {
  const GradientTile sums = tile.sums();
  const std::array constants{tile.channels, sums.places(), tile.step, tile.rows4, tile.places};
  emit_gradient_product(emitter, node, ShaderId::weight_gradient_gemm, sums, tile.invocations(),
                        constants);
}

template <const Tile& tile>
double cost(const KernelContext& context) {
  return guessed_seconds(context, tile.sums(), tile.rate);
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
    variant<k128x128>("conv2d_weight_gradient_gemm_128x128"),
    variant<k64x128>("conv2d_weight_gradient_gemm_64x128"),
    variant<k64x64>("conv2d_weight_gradient_gemm_64x64"),
    variant<k32x64>("conv2d_weight_gradient_gemm_32x64"),
    variant<k32x32>("conv2d_weight_gradient_gemm_32x32"),
};

}  // namespace

std::span<const KernelVariant> weight_gradient_gemm_kernels() {
  return kVariants;
}

}  // namespace caldera
