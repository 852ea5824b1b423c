#version 450
// A register tile of 4 outputs x 4 images an invocation, as conv2d_tile's: with a batch, weights
// are read once for four images.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "linear_params.h"

PUSH_CONSTANTS(LinearParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };        // [image][in_c4]
layout(std430, binding = 1) readonly buffer Weight { vector_t weight[]; };  // [blocks * 4][in4]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

const uint kImages = 4;

void main() {
  uint index = invocation_index();
  uint first = index / p.blocks * kImages;
  uint local_block = index % p.blocks;
  if (first >= p.images) return;
  uint from[kImages];
  [[unroll]] for (uint j = 0; j < kImages; ++j) from[j] = min(first + j, p.images - 1) * p.in_c4;
  uint w = local_block * 4 * p.in4;
  vec4 sum[kImages] = vec4[](vec4(0), vec4(0), vec4(0), vec4(0));
  for (uint i = 0; i < p.in4; ++i) {
    vec4 w0 = widen(weight[w + i]);
    vec4 w1 = widen(weight[w + p.in4 + i]);
    vec4 w2 = widen(weight[w + 2 * p.in4 + i]);
    vec4 w3 = widen(weight[w + 3 * p.in4 + i]);
    [[unroll]] for (uint j = 0; j < kImages; ++j) {
      vec4 v = widen(x[from[j] + i]);
      sum[j] += vec4(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
    }
  }
  uint block = p.first_block + local_block;
  [[unroll]] for (uint j = 0; j < kImages; ++j) {
    if (first + j >= p.images) break;
    uint to = (first + j) * p.out4 + block;
    y[to] = narrow(apply_epilogue(sum[j], p.epilogue, block, p.out_c, to));
  }
}
