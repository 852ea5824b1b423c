// How a kernel's activations are bound: see shaders/common/vectors.glsl, whose shaders are compiled
// for either.
#pragma once

#include <cstdint>

#include "shaders/shader_id.h"

namespace caldera {

enum class Access : uint8_t { kStorage, kTexels };

template <Access kAccess>
constexpr ShaderId pick(ShaderId storage, ShaderId texels) {
  return kAccess == Access::kTexels ? texels : storage;
}

}  // namespace caldera
