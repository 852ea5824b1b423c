// How a kernel's activations are bound: see shaders/common/vectors.glsl, whose shaders are compiled
// for either.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "graph/kernel.h"
#include "graph/ops/image_runs.h"
#include "shaders/shader_id.h"

namespace caldera {

enum class Access : uint8_t { kStorage, kTexels };

template <Access kAccess>
constexpr ShaderId pick(ShaderId storage, ShaderId texels) {
  return kAccess == Access::kTexels ? texels : storage;
}

// Whether a shader may bind so many texel buffers, and one spans enough images of each of `values`:
// where it spans fewer, storage buffers are better than many dispatches.
inline bool texels_fit(const KernelContext& context, std::initializer_list<ImageShape> values,
                       uint32_t texel_buffers) {
  constexpr int64_t kLeastImages = 8;
  return context.capabilities.max_storage_texel_buffers >= texel_buffers &&
         images_a_binding(context.capabilities, values,
                          texel_buffer_bytes(context.capabilities, context.storage())) >=
             std::min(values.begin()->n, kLeastImages);
}

// An operator's two variants, by name and emitter. `fit`: whether what the first one loads does.
constexpr std::array<KernelVariant, 2> both_ways(
    decltype(KernelVariant::supported) fit, std::string_view texels,
    decltype(KernelVariant::emit) emit_texels, std::string_view vectors,
    decltype(KernelVariant::emit) emit_vectors,
    decltype(KernelVariant::workspace_image_bytes) workspace = nullptr) {
  return {{{.name = texels,
            .supported = fit,
            .emit = emit_texels,
            .texels = true,
            .workspace_image_bytes = workspace},
           {.name = vectors, .emit = emit_vectors, .workspace_image_bytes = workspace}}};
}

}  // namespace caldera
