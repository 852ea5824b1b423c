#version 450
// A tensor of f32 in another storage: four channels an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "data_movement_params.h"

PUSH_CONSTANTS(ConvertParams)

layout(std430, binding = 0) readonly buffer Input { vec4 x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  if (index < p.vectors) y[index] = narrow(x[index]);
}
