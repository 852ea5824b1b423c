// The ways to run the pools: each through texel buffers, from which software drivers load several
// times as fast, or through storage buffers.

#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/access.h"
#include "shaders/pool/pool_params.h"

namespace caldera {

namespace {

shader::PoolParams params(const Emitter& emitter, const Node& node) {
  const ImageShape in = emitter.shape(node.inputs[0]);
  const ImageShape out = emitter.shape(node.output());
  return {.pixels = emitter.images() * static_cast<uint32_t>(out.pixels()),
          .channels = static_cast<uint32_t>(out.c),
          .c4 = out.c4(),
          .in_h = static_cast<uint32_t>(in.h),
          .in_w = static_cast<uint32_t>(in.w),
          .out_h = static_cast<uint32_t>(out.h),
          .out_w = static_cast<uint32_t>(out.w),
          .dilation_h = 1,
          .dilation_w = 1};
}

template <typename PoolAttrs>
void set_window(const PoolAttrs& attrs, shader::PoolParams& p) {
  p.kernel_h = static_cast<uint32_t>(attrs.kernel.h);
  p.kernel_w = static_cast<uint32_t>(attrs.kernel.w);
  p.stride_h = static_cast<uint32_t>(attrs.stride.h);
  p.stride_w = static_cast<uint32_t>(attrs.stride.w);
  p.pad_h = static_cast<uint32_t>(attrs.padding.h);
  p.pad_w = static_cast<uint32_t>(attrs.padding.w);
  if constexpr (std::is_same_v<PoolAttrs, MaxPool2dAttrs>) {
    p.dilation_h = static_cast<uint32_t>(attrs.dilation.h);
    p.dilation_w = static_cast<uint32_t>(attrs.dilation.w);
  }
}

void emit(Emitter& emitter, const Node& node, ShaderId shader, const shader::PoolParams& p) {
  emitter.dispatch(id_of(emitter.graph(), node), shader, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   uint64_t{p.pixels} * p.c4);
}

template <Access kAccess>
void emit_max(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<MaxPool2dAttrs>(node.attrs);
  shader::PoolParams p = params(emitter, node);
  set_window(attrs, p);
  if (!attrs.places) {
    emit(emitter, node, pick<kAccess>(ShaderId::max_pool2d, ShaderId::max_pool2d_texels), p);
    return;
  }
  emitter.dispatch(id_of(emitter.graph(), node),
                   pick<kAccess>(ShaderId::max_pool2d_places, ShaderId::max_pool2d_places_texels),
                   p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output()),
                    emitter.activation(node.outputs[1])},
                   uint64_t{p.pixels} * p.c4);
}

template <Access kAccess>
void emit_avg(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<AvgPool2dAttrs>(node.attrs);
  shader::PoolParams p = params(emitter, node);
  set_window(attrs, p);
  p.count_include_pad = attrs.count_include_pad;
  emit(emitter, node, pick<kAccess>(ShaderId::avg_pool2d, ShaderId::avg_pool2d_texels), p);
}

template <Access kAccess>
void emit_adaptive_avg(Emitter& emitter, const Node& node) {
  emit(emitter, node,
       pick<kAccess>(ShaderId::adaptive_avg_pool2d, ShaderId::adaptive_avg_pool2d_texels),
       params(emitter, node));
}

// Of the forward pool of dy's windows over dx's pixels.
shader::PoolParams gradient_params(const Emitter& emitter, const Node& node) {
  const ImageShape dy = emitter.shape(node.inputs[0]);
  const ImageShape dx = emitter.shape(node.output());
  return {.pixels = emitter.images() * static_cast<uint32_t>(dx.pixels()),
          .channels = static_cast<uint32_t>(dx.c),
          .c4 = dx.c4(),
          .in_h = static_cast<uint32_t>(dx.h),
          .in_w = static_cast<uint32_t>(dx.w),
          .out_h = static_cast<uint32_t>(dy.h),
          .out_w = static_cast<uint32_t>(dy.w),
          .dilation_h = 1,
          .dilation_w = 1};
}

template <Access kAccess>
void emit_max_gradient(Emitter& emitter, const Node& node) {
  const MaxPool2dAttrs& pool = std::get<MaxPool2dGradientAttrs>(node.attrs).pool;
  shader::PoolParams p = gradient_params(emitter, node);
  set_window(pool, p);
  emitter.dispatch(
      id_of(emitter.graph(), node),
      pick<kAccess>(ShaderId::max_pool2d_gradient, ShaderId::max_pool2d_gradient_texels), p,
      {emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]),
       emitter.activation(node.output())},
      uint64_t{p.pixels} * p.c4);
}

template <Access kAccess>
void emit_avg_gradient(Emitter& emitter, const Node& node) {
  const AvgPool2dAttrs& pool = std::get<AvgPool2dGradientAttrs>(node.attrs).pool;
  shader::PoolParams p = gradient_params(emitter, node);
  set_window(pool, p);
  p.count_include_pad = pool.count_include_pad;
  emit(emitter, node,
       pick<kAccess>(ShaderId::avg_pool2d_gradient, ShaderId::avg_pool2d_gradient_texels), p);
}

template <Access kAccess>
void emit_adaptive_avg_gradient(Emitter& emitter, const Node& node) {
  emit(emitter, node,
       pick<kAccess>(ShaderId::adaptive_avg_pool2d_gradient,
                     ShaderId::adaptive_avg_pool2d_gradient_texels),
       gradient_params(emitter, node));
}

bool input_fits_texels(const KernelContext& context) {
  return texels_fit(context, {context.shape(context.node.inputs[0])}, 1);
}

constexpr auto kMax = both_ways(input_fits_texels, "max_pool2d_texels", emit_max<Access::kTexels>,
                                "max_pool2d_vector", emit_max<Access::kStorage>);
constexpr auto kAvg = both_ways(input_fits_texels, "avg_pool2d_texels", emit_avg<Access::kTexels>,
                                "avg_pool2d_vector", emit_avg<Access::kStorage>);
constexpr auto kAdaptiveAvg =
    both_ways(input_fits_texels, "adaptive_avg_pool2d_texels", emit_adaptive_avg<Access::kTexels>,
              "adaptive_avg_pool2d_vector", emit_adaptive_avg<Access::kStorage>);
constexpr auto kMaxGradient =
    both_ways(input_fits_texels, "max_pool2d_gradient_texels", emit_max_gradient<Access::kTexels>,
              "max_pool2d_gradient_vector", emit_max_gradient<Access::kStorage>);
constexpr auto kAvgGradient =
    both_ways(input_fits_texels, "avg_pool2d_gradient_texels", emit_avg_gradient<Access::kTexels>,
              "avg_pool2d_gradient_vector", emit_avg_gradient<Access::kStorage>);
constexpr auto kAdaptiveAvgGradient =
    both_ways(input_fits_texels, "adaptive_avg_pool2d_gradient_texels",
              emit_adaptive_avg_gradient<Access::kTexels>, "adaptive_avg_pool2d_gradient_vector",
              emit_adaptive_avg_gradient<Access::kStorage>);

}  // namespace

std::span<const KernelVariant> max_pool2d_gradient_kernels() {
  return kMaxGradient;
}
std::span<const KernelVariant> avg_pool2d_gradient_kernels() {
  return kAvgGradient;
}
std::span<const KernelVariant> adaptive_avg_pool2d_gradient_kernels() {
  return kAdaptiveAvgGradient;
}
std::span<const KernelVariant> max_pool2d_kernels() {
  return kMax;
}
std::span<const KernelVariant> avg_pool2d_kernels() {
  return kAvg;
}
std::span<const KernelVariant> adaptive_avg_pool2d_kernels() {
  return kAdaptiveAvg;
}

}  // namespace caldera
