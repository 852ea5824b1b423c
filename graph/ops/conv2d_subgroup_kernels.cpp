// Variants of conv2d by subgroup shuffle, a tile size each, and what each is guessed to cost.
#include "graph/ops/conv2d_subgroup_kernels.h"

#include <algorithm>
#include <bit>

#include "graph/align.h"
#include "graph/ops/conv2d_problem.h"
#include "graph/ops/conv2d_rates.h"
#include "shaders/conv2d/winograd_params.h"

namespace caldera {

namespace {

// A register tile (shaders/common/subgroup_tile.glsl).
struct Tile {
  uint32_t panels = 1;  // Of eight output channels.
  uint32_t pixels = 1;  // A lane.
  bool rare = false;

  uint32_t channels() const { return panels * 8; }
  // A GPU's registers hold a tile's sums or its kernel is no good; a CPU keeps them in memory.
  bool fits(const Capabilities& capabilities) const {
    constexpr uint32_t kMostSums = 128;
    return capabilities.cpu || channels() * pixels <= kMostSums;
  }
};

// Products of one tile's channels with one tile's pixels that make `channels` of `pixels`.
uint64_t tile_count(Tile tile, uint64_t pixels, uint64_t channels, uint32_t lanes) {
  return ceil_div(pixels, uint64_t{tile.pixels} * lanes) * ceil_div(channels, tile.channels());
}

// Nanoseconds of a tile's whole product over `in4` vectors of each of `taps`.
double tile_cost(Tile tile, uint64_t in4, uint64_t taps) {
  const double loads = (tile.panels + tile.pixels) * software::kLoad;
  const double products =
      tile.channels() * tile.pixels * software::kSum * (tile.pixels > 4 ? software::kWide : 1);
  const double whole = static_cast<double>(taps) * tile.pixels * software::kTapStart +
                       static_cast<double>(taps * in4) * (loads + products) +
                       tile.panels * 2 * tile.pixels * software::kStore;
  return tile.rare ? software::kRare * whole : whole;
}

double tile_multiply_adds(const KernelContext& context, Tile tile, uint64_t steps4) {
  return static_cast<double>(steps4 * 4 * tile.channels() * tile.pixels *
                             context.capabilities.subgroup_size);
}

void set_tile(const Emitter& emitter, Dispatch& dispatch, Tile tile, bool masked) {
  dispatch.constants.insert(dispatch.constants.end(),
                            {tile.panels, tile.pixels, uint32_t{masked}, emitter.rolls_stores()});
  dispatch.required_subgroup_size = emitter.capabilities().subgroup_size;
}

// The direct convolution.
template <Tile kTile>
bool direct_supported(const KernelContext& context) {
  const Conv2dProblem problem(context);
  return subgroups_fit(context.capabilities) && kTile.fits(context.capabilities) &&
         groups_are_whole_vectors(problem, kTile.channels()) &&
         packed_bytes(problem.weight, WeightLayout::kPanels, context.storage()) <=
             texel_buffer_bytes(context.capabilities, context.storage());
}

template <Tile kTile>
void emit_direct(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  Dispatch& dispatch =
      emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_subgroup, p,
                       conv2d_bindings(emitter, node, WeightLayout::kPanels),
                       tile_count(kTile, p.pixels, uint64_t{p.out_c4} * 4, lanes) * lanes, lanes);
  set_tile(emitter, dispatch, kTile, /*masked=*/p.pad_h + p.pad_w > 0);
  dispatch.constants.push_back(any_activation(std::get<Conv2dAttrs>(node.attrs).epilogue));
}

template <Tile kTile>
double direct_cost(const KernelContext& context) {
  const Conv2dProblem problem(context);
  const ImageShape out = context.shape(context.node.output());
  const auto taps = static_cast<uint64_t>(problem.weight[2] * problem.weight[3]);
  const uint64_t tiles = tile_count(kTile, static_cast<uint64_t>(out.n * out.pixels()),
                                    uint64_t{out.c4()} * 4, context.capabilities.subgroup_size);
  const uint64_t in4 = vectors(problem.group_in());
  if (!context.capabilities.cpu) {
    return guessed_seconds(context.capabilities, static_cast<double>(tiles),
                           tile_multiply_adds(context, kTile, taps * in4), kSubgroupRate);
  }
  return software::seconds(software::kDispatch +
                           static_cast<double>(tiles) * tile_cost(kTile, in4, taps));
}

// Winograd's.
struct Winograd {
  uint32_t outputs = 4;  // Of a tile, along each side.

  uint32_t elements() const { return (outputs + 2) * (outputs + 2); }
  WeightLayout layout() const {
    return outputs == 4 ? WeightLayout::kWinograd4 : WeightLayout::kWinograd2;
  }
  double transform_cost() const {
    return outputs == 4 ? software::kTransform4 : software::kTransform2;
  }
  uint64_t image_tiles(const ImageShape& out) const {
    return ceil_div(out.h, outputs) * ceil_div(out.w, outputs);
  }
};

// Bytes of all elements of all tiles of `image` as workspaces have them, in f32.
uint64_t element_bytes_of(Winograd winograd, uint64_t tiles, uint32_t c4) {
  return winograd.elements() * tiles * c4 * 16;
}

template <Winograd kWinograd>
uint64_t workspace_image_bytes(const KernelContext& context) {
  const ImageShape in = context.shape(context.node.inputs[0]);
  const ImageShape out = context.shape(context.node.output());
  return element_bytes_of(kWinograd, kWinograd.image_tiles(out), std::max(in.c4(), out.c4()));
}

template <Winograd kWinograd, Tile kTile>
bool winograd_supported(const KernelContext& context) {
  const Conv2dProblem problem(context);
  const Conv2dAttrs& attrs = problem.attrs;
  return subgroups_fit(context.capabilities) && kTile.fits(context.capabilities) &&
         attrs.groups == 1 && problem.weight[2] == 3 && problem.weight[3] == 3 &&
         attrs.stride == Size2d{1, 1} && attrs.dilation == Size2d{1, 1} &&
         packed_bytes(problem.weight, kWinograd.layout(), context.storage()) <=
             texel_buffer_bytes(context.capabilities, Storage::kF32);
}

template <Winograd kWinograd, Tile kTile>
void emit_winograd(Emitter& emitter, const Node& node) {
  const Conv2dProblem problem(emitter.graph(), node);
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output());
  const uint64_t tiles = emitter.images() * kWinograd.image_tiles(out);
  const shader::WinogradParams p{
      .conv = conv2d_params(emitter, node),
      .tiles = static_cast<uint32_t>(tiles),
      .tiles_h = static_cast<uint32_t>(ceil_div(out.h, kWinograd.outputs)),
      .tiles_w = static_cast<uint32_t>(ceil_div(out.w, kWinograd.outputs)),
      .elements = kWinograd.elements()};
  const NodeId id = id_of(emitter.graph(), node);
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const Binding transformed = emitter.workspace(element_bytes_of(kWinograd, tiles, in.c4()));
  const Binding products = emitter.workspace(element_bytes_of(kWinograd, tiles, out.c4()));

  Dispatch& input =
      emitter.dispatch(id, ShaderId::winograd_input, p,
                       {emitter.activation(node.inputs[0]), transformed}, tiles * in.c4(), lanes);
  input.constants.insert(input.constants.end(), {kWinograd.outputs, emitter.rolls_stores()});

  Dispatch& product = emitter.dispatch(
      id, ShaderId::winograd_product, p,
      {transformed, emitter.weight(node.inputs[1], kWinograd.layout()), products},
      kWinograd.elements() * tile_count(kTile, tiles, uint64_t{out.c4()} * 4, lanes) * lanes,
      lanes);
  set_tile(emitter, product, kTile, /*masked=*/false);
  product.multiply_adds = static_cast<int64_t>(kWinograd.elements() * tiles) *
                          static_cast<int64_t>(in.c) * static_cast<int64_t>(out.c);

  std::vector<Binding> bindings{products, emitter.activation(node.output())};
  append_epilogue(emitter, node, 2, problem.attrs.bias, problem.attrs.epilogue, bindings);
  Dispatch& output = emitter.dispatch(id, ShaderId::winograd_output, p, std::move(bindings),
                                      tiles * out.c4(), lanes);
  output.constants.insert(output.constants.end(), {kWinograd.outputs, emitter.rolls_stores(),
                                                   any_activation(problem.attrs.epilogue)});
}

template <Winograd kWinograd, Tile kTile>
double winograd_cost(const KernelContext& context) {
  const ImageShape in = context.shape(context.node.inputs[0]);
  const ImageShape out = context.shape(context.node.output());
  const uint32_t lanes = context.capabilities.subgroup_size;
  const uint64_t tiles = static_cast<uint64_t>(out.n) * kWinograd.image_tiles(out);
  const uint64_t transforms = ceil_div(tiles * in.c4(), lanes) + ceil_div(tiles * out.c4(), lanes);
  const uint64_t products =
      kWinograd.elements() * tile_count(kTile, tiles, uint64_t{out.c4()} * 4, lanes);
  if (!context.capabilities.cpu) {
    return 2 * kGpuDispatch + guessed_seconds(context.capabilities, static_cast<double>(products),
                                              tile_multiply_adds(context, kTile, in.c4()),
                                              kWinogradRate);
  }
  return software::seconds(3 * software::kDispatch +
                           static_cast<double>(transforms) * kWinograd.transform_cost() +
                           static_cast<double>(products) * tile_cost(kTile, in.c4(), 1));
}

template <Tile kTile>
constexpr KernelVariant direct(std::string_view name) {
  return {.name = name,
          .supported = direct_supported<kTile>,
          .emit = emit_direct<kTile>,
          .texels = true,
          .cost = direct_cost<kTile>};
}

template <Winograd kWinograd, Tile kTile>
constexpr KernelVariant winograd(std::string_view name) {
  return {.name = name,
          .supported = winograd_supported<kWinograd, kTile>,
          .emit = emit_winograd<kWinograd, kTile>,
          .texels = true,
          .cost = winograd_cost<kWinograd, kTile>,
          .workspace_image_bytes = workspace_image_bytes<kWinograd>};
}

// Names tell output channels x pixels a lane.
constexpr KernelVariant kVariants[] = {
    direct<Tile{2, 4}>("conv2d_subgroup_16x4"),
    direct<Tile{4, 4}>("conv2d_subgroup_32x4"),
    direct<Tile{8, 4}>("conv2d_subgroup_64x4"),
    direct<Tile{1, 7, true}>("conv2d_subgroup_8x7"),
    direct<Tile{2, 7, true}>("conv2d_subgroup_16x7"),
    winograd<Winograd{2}, Tile{2, 4, true}>("conv2d_winograd2_16x4"),
    winograd<Winograd{4}, Tile{2, 4}>("conv2d_winograd4_16x4"),
    winograd<Winograd{2}, Tile{4, 4, true}>("conv2d_winograd2_32x4"),
    winograd<Winograd{4}, Tile{4, 4}>("conv2d_winograd4_32x4"),
    winograd<Winograd{4}, Tile{8, 4}>("conv2d_winograd4_64x4"),
    winograd<Winograd{2}, Tile{4, 2}>("conv2d_winograd2_32x2"),
    winograd<Winograd{4}, Tile{4, 2}>("conv2d_winograd4_32x2"),
    winograd<Winograd{4}, Tile{8, 2}>("conv2d_winograd4_64x2"),
    winograd<Winograd{4}, Tile{4, 1, true}>("conv2d_winograd4_32x1"),
};

}  // namespace

bool subgroups_fit(const Capabilities& capabilities) {
  constexpr uint32_t kTexelBuffers = 4;  // Of the shader that binds the most.
  return capabilities.max_storage_texel_buffers >= kTexelBuffers && capabilities.subgroup_shuffle &&
         capabilities.subgroup_size_control && capabilities.subgroup_size >= 8 &&
         std::has_single_bit(capabilities.subgroup_size) &&
         capabilities.subgroup_size >= capabilities.min_subgroup_size &&
         capabilities.subgroup_size <= capabilities.max_subgroup_size &&
         capabilities.subgroup_size <= capabilities.max_workgroup_invocations &&
         capabilities.subgroup_size <= capabilities.max_workgroup_size[0];
}

std::span<const KernelVariant> conv2d_subgroup_kernels() {
  return kVariants;
}

}  // namespace caldera
