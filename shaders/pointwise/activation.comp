#version 450
// y = activation(x).
#extension GL_GOOGLE_include_directive : require
#include "../common/epilogue.glsl"
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "pointwise_params.h"

PUSH_CONSTANTS(PointwiseParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  vec4 v = activate(widen(x[index]), p.activation);
  y[index] = narrow(zero_tail(v, index % p.c4, p.channels));
}
