// What a compute shader binds, read from its SPIR-V: the hazard tracker learns from it what each
// dispatch reads and writes (`readonly` and `writeonly` survive compilation as decorations).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "caldera/result.h"

namespace caldera {

enum class BindingType : uint8_t {
  kStorageBuffer,
  kTexelsF32,  // A texel buffer of vectors of four floats.
  kTexelsF16,  // Of four halves.
  kTexelsU16,  // Four whole numbers of 16 bits.
};

struct ShaderBinding {
  BindingType type = BindingType::kStorageBuffer;
  bool reads = true;
  bool writes = true;
};

struct ShaderReflection {
  std::vector<ShaderBinding> bindings;  // By binding number, from 0 without gaps; all of set 0.
  uint32_t push_constant_bytes = 0;
  uint32_t specialization_constants = 0;  // Ids 0 .. n - 1.
};

// An error where the module uses what the runtime does not support (a second set, an image).
Result<ShaderReflection> reflect(std::span<const uint32_t> spirv);

}  // namespace caldera
