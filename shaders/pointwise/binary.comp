#version 450
// y = activation(a + b) or activation(a * b); b may be one value a channel.
#extension GL_GOOGLE_include_directive : require
#include "../common/epilogue.glsl"
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "pointwise_params.h"

PUSH_CONSTANTS(PointwiseParams)

layout(std430, binding = 0) readonly buffer InputA { vector_t a[]; };
layout(std430, binding = 1) readonly buffer InputB { vector_t b[]; };
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  uint block = index % p.c4;
  uint from = p.broadcast != 0 ? index / p.image_vectors * p.c4 + block : index;
  vec4 right = widen(b[from]);
  vec4 left = widen(a[index]);
  vec4 v = p.multiply != 0 ? left * right : left + right;
  y[index] = narrow(zero_tail(activate(v, p.activation), block, p.channels));
}
