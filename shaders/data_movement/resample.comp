#version 450
// Padding, cropping, subsampling and spreading apart: four channels of one output pixel an
// invocation.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "data_movement_params.h"

layout(push_constant) uniform Push { ResampleParams p; };

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  uint pixel = index / p.out_c4;
  uint block = index - pixel * p.out_c4;
  if (pixel >= p.pixels) return;
  uint row = pixel / p.out_w;
  uint w = pixel - row * p.out_w - p.left;  // Wraps in the padding.
  uint image = row / p.out_h;
  uint h = row - image * p.out_h - p.top;
  bool between = h % p.spread_h != 0 || w % p.spread_w != 0;
  h = h / p.spread_h * p.stride_h;
  w = w / p.spread_w * p.stride_w;
  vector_t v = vector_t(0);
  if (h < p.in_h && w < p.in_w && !between) {
    uint from = ((image * p.in_h + h) * p.in_w + w) * p.in_c4 * 4;
    [[unroll]] for (uint k = 0; k < 4; ++k) {
      uint c = block * 4 + k - p.channels_before;
      if (c < p.in_c && block * 4 + k < p.out_c) v[k] = x[from + c];
    }
  }
  y[index] = v;
}
