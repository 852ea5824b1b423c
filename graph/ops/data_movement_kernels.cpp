// The ways to run pad, subsample, concat and flatten, and their gradients.
#include <algorithm>

#include "graph/align.h"
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/access.h"
#include "shaders/data_movement/data_movement_params.h"

namespace caldera {

namespace {

shader::ResampleParams resample_params(const Emitter& emitter, const Node& node) {
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output());
  return {.pixels = emitter.images() * static_cast<uint32_t>(out.pixels()),
          .in_h = static_cast<uint32_t>(in.h),
          .in_w = static_cast<uint32_t>(in.w),
          .in_c = static_cast<uint32_t>(in.c),
          .in_c4 = in.c4(),
          .out_h = static_cast<uint32_t>(out.h),
          .out_w = static_cast<uint32_t>(out.w),
          .out_c = static_cast<uint32_t>(out.c),
          .out_c4 = out.c4(),
          .top = 0,
          .left = 0,
          .channels_before = 0,
          .stride_h = 1,
          .stride_w = 1,
          .spread_h = 1,
          .spread_w = 1};
}

template <Access kAccess>
void emit_resample(Emitter& emitter, const Node& node, const shader::ResampleParams& p) {
  emitter
      .dispatch(id_of(emitter.graph(), node),
                pick<kAccess>(ShaderId::resample, ShaderId::resample_texels), p,
                {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                uint64_t{p.pixels} * p.out_c4)
      .constants.push_back(p.channels_before % 4 == 0);
}

bool input_fits_texels(const KernelContext& context) {
  return texels_fit(context, {context.shape(context.node.inputs[0])}, 1);
}

template <Access kAccess>
void emit_pad(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<PadAttrs>(node.attrs);
  shader::ResampleParams p = resample_params(emitter, node);
  p.top = static_cast<uint32_t>(attrs.top);
  p.left = static_cast<uint32_t>(attrs.left);
  p.channels_before = static_cast<uint32_t>(attrs.channels_before);
  emit_resample<kAccess>(emitter, node, p);
}

template <Access kAccess>
void emit_subsample(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<SubsampleAttrs>(node.attrs);
  shader::ResampleParams p = resample_params(emitter, node);
  p.stride_h = static_cast<uint32_t>(attrs.stride.h);
  p.stride_w = static_cast<uint32_t>(attrs.stride.w);
  emit_resample<kAccess>(emitter, node, p);
}

template <Access kAccess>
void emit_upsample_zeros(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<UpsampleZerosAttrs>(node.attrs);
  shader::ResampleParams p = resample_params(emitter, node);
  p.top = static_cast<uint32_t>(attrs.offset.h);
  p.left = static_cast<uint32_t>(attrs.offset.w);
  p.spread_h = static_cast<uint32_t>(attrs.stride.h);
  p.spread_w = static_cast<uint32_t>(attrs.stride.w);
  emit_resample<kAccess>(emitter, node, p);
}

template <Access kAccess>
void emit_interleave(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<InterleaveAttrs>(node.attrs);
  const ImageShape out = emitter.shape(node.output());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ImageShape in = emitter.shape(node.inputs[i]);
    const auto [at, from] = attrs.phases[i];
    shader::InterleaveParams p{
        .rows = static_cast<uint32_t>(ceil_div(out.h - at.h, attrs.stride.h)),
        .columns = static_cast<uint32_t>(ceil_div(out.w - at.w, attrs.stride.w)),
        .c4 = out.c4(),
        .in_h = static_cast<uint32_t>(in.h),
        .in_w = static_cast<uint32_t>(in.w),
        .out_h = static_cast<uint32_t>(out.h),
        .out_w = static_cast<uint32_t>(out.w),
        .from_h = static_cast<uint32_t>(from.h),
        .from_w = static_cast<uint32_t>(from.w),
        .at_h = static_cast<uint32_t>(at.h),
        .at_w = static_cast<uint32_t>(at.w),
        .stride_h = static_cast<uint32_t>(attrs.stride.h),
        .stride_w = static_cast<uint32_t>(attrs.stride.w)};
    p.pixels = emitter.images() * p.rows * p.columns;
    emitter.dispatch(id_of(emitter.graph(), node),
                     pick<kAccess>(ShaderId::interleave, ShaderId::interleave_texels), p,
                     {emitter.activation(node.inputs[i]), emitter.activation(node.output())},
                     uint64_t{p.pixels} * p.c4);
  }
}

bool phases_fit_texels(const KernelContext& context) {
  return std::ranges::all_of(context.node.inputs, [&](ValueId phase) {
    return texels_fit(context, {context.shape(phase)}, 1);
  });
}

void emit_concat(Emitter& emitter, const Node& node) {
  const ImageShape out = emitter.shape(node.output());
  uint32_t first = 0;
  for (const ValueId& input : node.inputs) {
    const ImageShape in = emitter.shape(input);
    const auto channels = static_cast<uint32_t>(in.c);
    const bool last = &input == &node.inputs.back();
    const shader::ConcatParams p{.pixels = emitter.images() * static_cast<uint32_t>(out.pixels()),
                                 .in_c = channels,
                                 .in_c4 = in.c4(),
                                 .out_c4 = out.c4(),
                                 .first = first,
                                 .width = last ? out.c4() * 4 - first : channels};
    emitter.dispatch(id_of(emitter.graph(), node), ShaderId::concat, p,
                     {emitter.activation(input), emitter.activation(node.output())},
                     uint64_t{p.pixels} * p.width);
    first += channels;
  }
}

// Of one pixel, or of [N, F], there is nothing to move.
bool flatten_is_view(const KernelContext& context) {
  return context.shape(context.node.inputs[0]).pixels() == 1;
}

void emit_flatten(Emitter& emitter, const Node& node) {
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output());
  const shader::LayoutParams p{.images = emitter.images(),
                               .channels = static_cast<uint32_t>(in.c),
                               .c4 = in.c4(),
                               .pixels = static_cast<uint32_t>(in.pixels())};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::flatten, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   uint64_t{p.images} * out.c4());
}

// Between f32 and 16 bits; the shader is compiled for the latter.
void emit_convert(Emitter& emitter, const Node& node) {
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output());
  const bool widens = out.storage == Storage::kF32;
  const StoredShader shader = widens ? StoredShader{ShaderId::to_f32, in.storage}
                                     : StoredShader{ShaderId::from_f32, out.storage};
  const shader::ConvertParams p{.vectors = emitter.images() * static_cast<uint32_t>(out.pixels()) *
                                           out.c4()};
  emitter.dispatch(id_of(emitter.graph(), node), shader, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   p.vectors);
}

bool unflatten_is_view(const KernelContext& context) {
  return context.shape(context.node.output()).pixels() == 1;
}

void emit_unflatten(Emitter& emitter, const Node& node) {
  const ImageShape out = emitter.shape(node.output());
  const shader::LayoutParams p{.images = emitter.images(),
                               .channels = static_cast<uint32_t>(out.c),
                               .c4 = out.c4(),
                               .pixels = static_cast<uint32_t>(out.pixels())};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::unflatten, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   uint64_t{p.images} * p.pixels * p.c4);
}

constexpr auto kPad = both_ways(input_fits_texels, "pad_texels", emit_pad<Access::kTexels>,
                                "pad_vector", emit_pad<Access::kStorage>);
constexpr auto kSubsample =
    both_ways(input_fits_texels, "subsample_texels", emit_subsample<Access::kTexels>,
              "subsample_vector", emit_subsample<Access::kStorage>);
constexpr KernelVariant kConcat[] = {{"concat_element", nullptr, emit_concat}};
constexpr KernelVariant kFlatten[] = {{"flatten_view", flatten_is_view, nullptr},
                                      {"flatten_vector", nullptr, emit_flatten}};
constexpr KernelVariant kConvert[] = {{"convert_vector", nullptr, emit_convert}};
constexpr auto kUpsampleZeros =
    both_ways(input_fits_texels, "upsample_zeros_texels", emit_upsample_zeros<Access::kTexels>,
              "upsample_zeros_vector", emit_upsample_zeros<Access::kStorage>);
constexpr auto kInterleave =
    both_ways(phases_fit_texels, "interleave_texels", emit_interleave<Access::kTexels>,
              "interleave_vector", emit_interleave<Access::kStorage>);
constexpr KernelVariant kUnflatten[] = {{"unflatten_view", unflatten_is_view, nullptr},
                                        {"unflatten_vector", nullptr, emit_unflatten}};

}  // namespace

std::span<const KernelVariant> pad_kernels() {
  return kPad;
}
std::span<const KernelVariant> subsample_kernels() {
  return kSubsample;
}
std::span<const KernelVariant> concat_kernels() {
  return kConcat;
}
std::span<const KernelVariant> flatten_kernels() {
  return kFlatten;
}
std::span<const KernelVariant> convert_kernels() {
  return kConvert;
}
std::span<const KernelVariant> upsample_zeros_kernels() {
  return kUpsampleZeros;
}
std::span<const KernelVariant> interleave_kernels() {
  return kInterleave;
}
std::span<const KernelVariant> unflatten_kernels() {
  return kUnflatten;
}

}  // namespace caldera
