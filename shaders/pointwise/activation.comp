#version 450
// y = activation(x).
#extension GL_GOOGLE_include_directive : require
#include "../common/epilogue.glsl"
#include "../common/grid.glsl"
#include "pointwise_params.h"

layout(push_constant) uniform Push { PointwiseParams p; };

layout(std430, binding = 0) readonly buffer Input { vec4 x[]; };
layout(std430, binding = 1) writeonly buffer Output { vec4 y[]; };

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  y[index] = zero_tail(activate(x[index], p.activation), index % p.c4, p.channels);
}
