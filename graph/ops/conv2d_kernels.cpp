// The ways to run conv2d.
#include <algorithm>
#include <bit>

#include "graph/ops/conv2d_problem.h"

namespace caldera {

namespace {

// conv2d_subgroup: lanes of a subgroup of 8 or more broadcast to each other. Texel buffers bound
// what one image and the weights may hold.
constexpr uint32_t kSubgroupChannels = 16;
constexpr uint32_t kSubgroupPixelsALane = 4;

bool subgroup_supported(const KernelContext& context) {
  const Conv2dProblem problem(context);
  const Capabilities& capabilities = context.capabilities;
  return capabilities.subgroup_shuffle && capabilities.subgroup_size_control &&
         capabilities.subgroup_size >= 8 && std::has_single_bit(capabilities.subgroup_size) &&
         capabilities.subgroup_size >= capabilities.min_subgroup_size &&
         capabilities.subgroup_size <= capabilities.max_subgroup_size &&
         capabilities.subgroup_size <= capabilities.max_workgroup_invocations &&
         capabilities.subgroup_size <= capabilities.max_workgroup_size[0] &&
         groups_are_whole_vectors(problem, kSubgroupChannels) &&
         packed_bytes(problem.weight, WeightLayout::kOhwi, context.precision) <=
             texel_buffer_bytes(capabilities, context.precision);
}

void emit_subgroup(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const uint64_t pixel_tiles =
      (p.pixels + kSubgroupPixelsALane * lanes - 1) / (uint64_t{kSubgroupPixelsALane} * lanes);
  const uint64_t channel_tiles = (p.out_c4 * 4 + kSubgroupChannels - 1) / kSubgroupChannels;
  Dispatch& dispatch = emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_subgroup, p,
                                        conv2d_bindings(emitter, node, WeightLayout::kOhwi),
                                        pixel_tiles * channel_tiles * lanes, lanes);
  const bool even_vectors = vectors(p.group_in) % 2 == 0;
  dispatch.constants.push_back(even_vectors ? 2 : 1);
  dispatch.required_subgroup_size = lanes;
}

// conv2d_tile
constexpr uint32_t kTilePixels = 4;

bool tile_supported(const KernelContext& context) {
  return groups_are_whole_vectors(Conv2dProblem(context), 4);
}

void emit_tile(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  const uint64_t pixel_tiles = (p.pixels + kTilePixels - 1) / kTilePixels;
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_tile, p,
                   conv2d_bindings(emitter, node, WeightLayout::kOhwi), pixel_tiles * p.out_c4);
}

// conv2d_depthwise
bool depthwise_supported(const KernelContext& context) {
  const Conv2dProblem problem(context);
  return problem.attrs.groups > 1 && problem.group_in() == 1 && problem.group_out() == 1;
}

void emit_depthwise(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_depthwise, p,
                   conv2d_bindings(emitter, node, WeightLayout::kTapsFirst),
                   uint64_t{p.pixels} * p.out_c4);
}

// conv2d_direct
void emit_direct(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = conv2d_params(emitter, node);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_direct, p,
                   conv2d_bindings(emitter, node, WeightLayout::kOhwi),
                   uint64_t{p.pixels} * p.out_c4 * 4);
}

constexpr KernelVariant kVariants[] = {
    {"conv2d_depthwise", depthwise_supported, emit_depthwise},
    {"conv2d_subgroup", subgroup_supported, emit_subgroup, /*texel_input=*/true},
    {"conv2d_tile", tile_supported, emit_tile},
    {"conv2d_direct", nullptr, emit_direct},
};

}  // namespace

std::span<const KernelVariant> conv2d_kernels() {
  return kVariants;
}

}  // namespace caldera
