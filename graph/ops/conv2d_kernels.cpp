// The ways to run conv2d.
#include <algorithm>
#include <bit>

#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/epilogue.h"
#include "shaders/conv2d/conv2d_params.h"

namespace caldera {

namespace {

struct Problem {
  const Conv2dAttrs& attrs;
  const Shape& weight;  // [O, I / groups, KH, KW]

  Problem(const Graph& graph, const Node& node)
      : attrs(std::get<Conv2dAttrs>(node.attrs)), weight(graph.value(node.inputs[1]).shape) {}
  explicit Problem(const KernelContext& context) : Problem(context.graph, context.node) {}

  int64_t group_in() const { return weight[1]; }
  int64_t group_out() const { return weight[0] / attrs.groups; }
};

shader::Conv2dParams params(const Emitter& emitter, const Node& node) {
  const Problem problem(emitter.graph(), node);
  const Conv2dAttrs& attrs = problem.attrs;
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output);
  return {.pixels = emitter.images() * static_cast<uint32_t>(out.pixels()),
          .in_h = static_cast<uint32_t>(in.h),
          .in_w = static_cast<uint32_t>(in.w),
          .in_c4 = in.c4(),
          .out_h = static_cast<uint32_t>(out.h),
          .out_w = static_cast<uint32_t>(out.w),
          .out_c4 = out.c4(),
          .out_c = static_cast<uint32_t>(out.c),
          .kernel_h = static_cast<uint32_t>(problem.weight[2]),
          .kernel_w = static_cast<uint32_t>(problem.weight[3]),
          .stride_h = static_cast<uint32_t>(attrs.stride.h),
          .stride_w = static_cast<uint32_t>(attrs.stride.w),
          .pad_h = static_cast<uint32_t>(attrs.padding.h),
          .pad_w = static_cast<uint32_t>(attrs.padding.w),
          .dilation_h = static_cast<uint32_t>(attrs.dilation.h),
          .dilation_w = static_cast<uint32_t>(attrs.dilation.w),
          .group_in = static_cast<uint32_t>(problem.group_in()),
          .group_out = static_cast<uint32_t>(problem.group_out()),
          .epilogue = epilogue_bits(attrs.epilogue, attrs.bias)};
}

std::vector<Binding> bindings(Emitter& emitter, const Node& node, WeightLayout layout) {
  const auto& attrs = std::get<Conv2dAttrs>(node.attrs);
  std::vector<Binding> list{emitter.activation(node.inputs[0]),
                            emitter.weight(node.inputs[1], layout),
                            emitter.activation(node.output)};
  append_epilogue(emitter, node, 2, attrs.bias, attrs.epilogue, list);
  return list;
}

// Whole vectors of input and output channels belong to one group.
bool groups_are_whole_vectors(const Problem& problem, int64_t out_multiple) {
  return problem.attrs.groups == 1 ||
         (problem.group_in() % 4 == 0 && problem.group_out() % out_multiple == 0);
}

// conv2d_subgroup: lanes of a subgroup of 8 or more broadcast to each other. Texel buffers bound
// what one image and the weights may hold.
constexpr uint32_t kSubgroupChannels = 16;
constexpr uint32_t kSubgroupPixelsALane = 4;

bool subgroup_supported(const KernelContext& context) {
  const Problem problem(context);
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
  const shader::Conv2dParams p = params(emitter, node);
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const uint64_t pixel_tiles =
      (p.pixels + kSubgroupPixelsALane * lanes - 1) / (uint64_t{kSubgroupPixelsALane} * lanes);
  const uint64_t channel_tiles = (p.out_c4 * 4 + kSubgroupChannels - 1) / kSubgroupChannels;
  Dispatch& dispatch = emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_subgroup, p,
                                        bindings(emitter, node, WeightLayout::kOhwi),
                                        pixel_tiles * channel_tiles * lanes, lanes);
  const bool even_vectors = vectors(p.group_in) % 2 == 0;
  dispatch.constants.push_back(even_vectors ? 2 : 1);
  dispatch.required_subgroup_size = lanes;
}

// conv2d_tile
constexpr uint32_t kTilePixels = 4;

bool tile_supported(const KernelContext& context) {
  return groups_are_whole_vectors(Problem(context), 4);
}

void emit_tile(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = params(emitter, node);
  const uint64_t pixel_tiles = (p.pixels + kTilePixels - 1) / kTilePixels;
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_tile, p,
                   bindings(emitter, node, WeightLayout::kOhwi), pixel_tiles * p.out_c4);
}

// conv2d_depthwise
bool depthwise_supported(const KernelContext& context) {
  const Problem problem(context);
  return problem.attrs.groups > 1 && problem.group_in() == 1 && problem.group_out() == 1;
}

void emit_depthwise(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = params(emitter, node);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_depthwise, p,
                   bindings(emitter, node, WeightLayout::kTapsFirst),
                   uint64_t{p.pixels} * p.out_c4);
}

// conv2d_direct
void emit_direct(Emitter& emitter, const Node& node) {
  const shader::Conv2dParams p = params(emitter, node);
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_direct, p,
                   bindings(emitter, node, WeightLayout::kOhwi), uint64_t{p.pixels} * p.out_c4 * 4);
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
