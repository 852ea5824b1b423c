// The ways to run linear.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/align.h"
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/conv2d_coopmat_kernels.h"
#include "graph/ops/conv2d_gemm_kernels.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/conv2d_subgroup_kernels.h"
#include "graph/ops/epilogue.h"
#include "shaders/linear/linear_params.h"

namespace caldera {

namespace {

// Rows of a weight matrix come in blocks of four. How many blocks lie between places where a part
// of it may start that holds a multiple of `multiple`.
uint64_t blocks_a_unit(const Capabilities& capabilities, uint64_t block_bytes, uint32_t multiple) {
  const uint64_t alignment = capabilities.binding_alignment();
  return std::lcm(alignment / std::gcd(alignment, block_bytes), uint64_t{multiple});
}

// The weight matrix for such an input.
uint64_t bytes_of_four_rows(const ImageShape& in) {
  return 4 * uint64_t{vectors(in.c)} * 4 * element_bytes(in.storage);
}

// A weight matrix may be more than the `most_bytes` that one binding spans (VGG's first holds
// 411 MB), so a dispatch takes as many rows as fit: `each(params, bindings)` is called for every
// such part.
template <typename Each>
void for_rows(Emitter& emitter, const Node& node, WeightLayout layout, uint32_t multiple,
              uint64_t most_bytes, Each each) {
  const auto& attrs = std::get<LinearAttrs>(node.attrs);
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output());
  const Binding weight = emitter.weight(node.inputs[1], layout);

  const uint64_t block_bytes = bytes_of_four_rows(in);
  const uint64_t most = most_bytes / block_bytes;
  const uint64_t unit = blocks_a_unit(emitter.capabilities(), block_bytes, multiple);
  const uint64_t all_blocks = round_up(out.c4(), multiple);
  // Where not even a unit fits, the plan refuses the binding, and names the layer.
  const uint64_t most_blocks = most >= all_blocks ? all_blocks : std::max(unit, most / unit * unit);
  const auto step = static_cast<uint32_t>(std::min<uint64_t>(most_blocks, all_blocks));
  for (uint32_t first = 0; first < out.c4(); first += step) {
    const shader::LinearParams p{.images = emitter.images(),
                                 .in4 = vectors(in.c),
                                 .in_c4 = in.c4(),
                                 .out4 = out.c4(),
                                 .out_c = static_cast<uint32_t>(out.c),
                                 .first_block = first,
                                 .blocks = std::min(step, out.c4() - first),
                                 .epilogue = epilogue_bits(attrs.epilogue, attrs.bias)};
    Binding rows = weight;
    rows.offset = first * block_bytes;
    rows.size = std::min<uint64_t>(step, all_blocks - first) * block_bytes;
    std::vector<Binding> bindings{emitter.activation(node.inputs[0]), rows,
                                  emitter.activation(node.output())};
    append_epilogue(emitter, node, 2, attrs.bias, attrs.epilogue, bindings);
    each(p, std::move(bindings));
  }
}

// linear_tile
constexpr uint32_t kTileImages = 4;

void emit_tile(Emitter& emitter, const Node& node) {
  for_rows(emitter, node, WeightLayout::kOhwi, 1, emitter.capabilities().max_storage_buffer_range,
           [&](const shader::LinearParams& p, std::vector<Binding> bindings) {
             emitter.dispatch(id_of(emitter.graph(), node), ShaderId::linear_tile, p,
                              std::move(bindings), ceil_div(p.images, kTileImages) * p.blocks);
           });
}

double tile_cost(const KernelContext& context) {
  const ImageShape in = context.shape(context.node.inputs[0]);
  const ImageShape out = context.shape(context.node.output());
  const double tiles = std::ceil(static_cast<double>(out.n) / kTileImages) * out.c4();
  return guessed_seconds_of_invocations(context.capabilities, tiles,
                                        4.0 * kTileImages * static_cast<double>(in.c), kTileRate);
}

// linear_panel: subgroups, as conv2d_subgroup's.
constexpr uint32_t kPanelImages = 4;
constexpr uint32_t kPanelBlocks = 2;  // Of four rows.

uint32_t panel_images(uint32_t images) {
  return std::min(images, kPanelImages);
}

bool panel_supported(const KernelContext& context) {
  const uint64_t block_bytes = bytes_of_four_rows(context.shape(context.node.inputs[0]));
  const uint64_t unit = blocks_a_unit(context.capabilities, block_bytes, kPanelBlocks);
  return subgroups_fit(context.capabilities) &&
         unit * block_bytes <= texel_buffer_bytes(context.capabilities, context.storage());
}

void emit_panel(Emitter& emitter, const Node& node) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const ImageShape out = emitter.shape(node.output());
  for_rows(emitter, node, WeightLayout::kPanels, kPanelBlocks,
           texel_buffer_bytes(emitter.capabilities(), out.storage),
           [&](const shader::LinearParams& p, std::vector<Binding> bindings) {
             const uint32_t images = panel_images(p.images);
             const uint64_t subgroups =
                 ceil_div(p.images, images) * ceil_div(ceil_div(p.blocks, 2), lanes / 8);
             Dispatch& dispatch =
                 emitter.dispatch(id_of(emitter.graph(), node), ShaderId::linear_panel, p,
                                  std::move(bindings), subgroups * lanes, lanes);
             dispatch.constants.push_back(images);
             dispatch.required_subgroup_size = lanes;
           });
}

double panel_cost(const KernelContext& context) {
  const ImageShape in = context.shape(context.node.inputs[0]);
  const ImageShape out = context.shape(context.node.output());
  const uint32_t images = panel_images(static_cast<uint32_t>(out.n));
  const double loads =
      static_cast<double>(ceil_div(static_cast<uint64_t>(out.n), images)) * out.c4() * in.c4();
  return guessed_seconds_of_invocations(context.capabilities, loads, 16.0 * images, kPanelRate);
}

constexpr KernelVariant kPanel{.name = "linear_panel",
                               .supported = panel_supported,
                               .emit = emit_panel,
                               .texels = true,
                               .cost = panel_cost};

constexpr KernelVariant kTile{
    .name = "linear_tile", .supported = nullptr, .emit = emit_tile, .cost = tile_cost};

}  // namespace

std::span<const KernelVariant> linear_kernels() {
  static const std::vector<KernelVariant> all = [] {
    std::vector<KernelVariant> list;
    for (const auto products : {linear_coopmat_kernels(), linear_gemm_kernels()}) {
      list.insert(list.end(), products.begin(), products.end());
    }
    list.push_back(kPanel);
    list.push_back(kTile);
    return list;
  }();
  return all;
}

}  // namespace caldera
