#version 450
// y = activation(a + b) or activation(a * b); b may be one value a channel.
#extension GL_GOOGLE_include_directive : require
#include "../common/epilogue.glsl"
#include "../common/grid.glsl"
#include "pointwise_params.h"

layout(push_constant) uniform Push { PointwiseParams p; };

layout(std430, binding = 0) readonly buffer InputA { vec4 a[]; };
layout(std430, binding = 1) readonly buffer InputB { vec4 b[]; };
layout(std430, binding = 2) writeonly buffer Output { vec4 y[]; };

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  uint block = index % p.c4;
  vec4 right = p.broadcast != 0 ? b[index / p.image_vectors * p.c4 + block] : b[index];
  vec4 left = a[index];
  vec4 v = p.multiply != 0 ? left * right : left + right;
  y[index] = zero_tail(activate(v, p.activation), block, p.channels);
}
