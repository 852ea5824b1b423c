#version 450
// A tensor in f32: four channels an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "data_movement_params.h"

PUSH_CONSTANTS(ConvertParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vec4 y[]; };

void main() {
  uint index = invocation_index();
  if (index < p.vectors) y[index] = widen(x[index]);
}
