#version 450
// Padding, cropping, subsampling and spreading apart: four channels of one output pixel an
// invocation.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/epilogue.glsl"
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "data_movement_params.h"

PUSH_CONSTANTS(ResampleParams)

VECTORS_IN(0, x);
VECTORS_OUT(1, y);

// Whether channels_before is a multiple of four, so that vectors stay whole.
layout(constant_id = 1) const bool kWhole = false;

vec4 channels_of(uint pixel, uint block) {
  if (kWhole) {
    uint from = block - uint(int(p.channels_before) / 4);  // May be negative: cut off.
    vec4 v = LOAD(x, pixel * p.in_c4 + min(from, p.in_c4 - 1));
    return from < p.in_c4 ? zero_tail(v, block, p.out_c) : vec4(0);
  }
  vec4 v = vec4(0);
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    uint c = block * 4 + k - p.channels_before;
    if (c < p.in_c && block * 4 + k < p.out_c) v[k] = LOAD(x, pixel * p.in_c4 + c / 4)[c % 4];
  }
  return v;
}

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
  bool inside = h < p.in_h && w < p.in_w && !between;
  vec4 v = channels_of(inside ? (image * p.in_h + h) * p.in_w + w : 0, block);
  STORE(y, index, inside ? v : vec4(0));
}
