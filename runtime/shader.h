// The shaders, compiled with the build and embedded.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "shaders/shader_id.h"  // Generated: one enumerator a shader, named as its file.

namespace caldera {

std::string_view shader_name(ShaderId id);
// Empty for a shader that needs a newer compiler than the build had.
std::span<const uint32_t> shader_spirv(ShaderId id);

}  // namespace caldera
