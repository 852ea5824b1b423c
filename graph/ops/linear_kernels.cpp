// The ways to run linear.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/conv2d_coopmat_kernels.h"
#include "graph/ops/conv2d_gemm_kernels.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/epilogue.h"
#include "shaders/linear/linear_params.h"

namespace caldera {

namespace {

constexpr uint32_t kTileImages = 4;

// A weight matrix may be more than one binding spans (VGG's first holds 411 MB), so a dispatch
// takes as many rows as fit.
void emit_tile(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<LinearAttrs>(node.attrs);
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output);
  const Binding weight = emitter.weight(node.inputs[1], WeightLayout::kOhwi);

  const uint64_t block_bytes = 4 * in.image_bytes();  // Four rows of the matrix.
  const uint64_t most = emitter.capabilities().max_storage_buffer_range / block_bytes;
  const uint64_t alignment = emitter.capabilities().binding_alignment();
  const uint64_t unit = alignment / std::gcd(alignment, block_bytes);  // Blocks between starts.
  // Where not even a unit fits, the plan refuses the binding, and names the layer.
  const uint64_t most_blocks = most >= out.c4() ? out.c4() : std::max(unit, most / unit * unit);
  const auto step = static_cast<uint32_t>(std::min<uint64_t>(most_blocks, out.c4()));
  for (uint32_t first = 0; first < out.c4(); first += step) {
    const uint32_t blocks = std::min(step, out.c4() - first);
    const shader::LinearParams p{.images = emitter.images(),
                                 .in4 = in.c4(),
                                 .out4 = out.c4(),
                                 .out_c = static_cast<uint32_t>(out.c),
                                 .first_block = first,
                                 .blocks = blocks,
                                 .epilogue = epilogue_bits(attrs.epilogue, attrs.bias)};
    Binding rows = weight;
    rows.offset = first * block_bytes;
    rows.size = blocks * block_bytes;
    std::vector<Binding> bindings{emitter.activation(node.inputs[0]), rows,
                                  emitter.activation(node.output)};
    append_epilogue(emitter, node, 2, attrs.bias, attrs.epilogue, bindings);
    const uint64_t image_tiles = (p.images + kTileImages - 1) / kTileImages;
    emitter.dispatch(id_of(emitter.graph(), node), ShaderId::linear_tile, p, std::move(bindings),
                     image_tiles * blocks);
  }
}

double tile_cost(const KernelContext& context) {
  const ImageShape in = context.shape(context.node.inputs[0]);
  const ImageShape out = context.shape(context.node.output);
  const double tiles = std::ceil(static_cast<double>(out.n) / kTileImages) * out.c4();
  return guessed_seconds_of_invocations(context.capabilities, tiles,
                                        4.0 * kTileImages * static_cast<double>(in.c), kTileRate);
}

constexpr KernelVariant kTile{
    .name = "linear_tile", .supported = nullptr, .emit = emit_tile, .cost = tile_cost};

}  // namespace

std::span<const KernelVariant> linear_kernels() {
  static const std::vector<KernelVariant> all = [] {
    std::vector<KernelVariant> list;
    for (const auto products : {linear_coopmat_kernels(), linear_gemm_kernels()}) {
      list.insert(list.end(), products.begin(), products.end());
    }
    list.push_back(kTile);
    return list;
  }();
  return all;
}

}  // namespace caldera
