#version 450
// V = B^T d B: one input tile of four channels an invocation. Neighbouring invocations take
// neighbouring channels.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "winograd.glsl"

layout(constant_id = 1) const uint kOutputs = 4;  // m: 2 or 4.
#define ROLLED_CONSTANT 2
#include "../common/rolled.glsl"

layout(binding = 0, TEXEL_FORMAT) readonly uniform TEXELS_T x;  // [pixel][in_c4]
layout(std430, binding = 1) writeonly buffer Output { vec4 v[]; };  // [n^2][tile][in_c4]

const uint kInputs = kOutputs + 2;

void main() {
  uint index = invocation_index();
  uint tile = index / p.conv.in_c4;
  uint block = index - tile * p.conv.in_c4;
  if (tile >= p.tiles) return;
  uint row = tile / p.tiles_w;
  uint image = row / p.tiles_h;
  int left = int((tile - row * p.tiles_w) * kOutputs) - int(p.conv.pad_w);
  int top = int((row - image * p.tiles_h) * kOutputs) - int(p.conv.pad_h);

  vec4 d[kInputs * kInputs];
  [[unroll]] for (uint r = 0; r < kInputs; ++r) {
    [[unroll]] for (uint c = 0; c < kInputs; ++c) {
      uint h = uint(top + int(r));
      uint w = uint(left + int(c));
      bool inside = h < p.conv.in_h && w < p.conv.in_w;
      uint from = inside ? ((image * p.conv.in_h + h) * p.conv.in_w + w) * p.conv.in_c4 + block : 0;
      vec4 loaded = load_texel(x, from);
      d[r * kInputs + c] = inside ? loaded : vec4(0);
    }
  }
  [[unroll]] for (uint c = 0; c < kInputs; ++c) {
    if (kOutputs == 4) {
      WINOGRAD_INPUT_4(d[c], d[kInputs + c], d[2 * kInputs + c], d[3 * kInputs + c],
                       d[4 * kInputs + c], d[5 * kInputs + c])
    } else {
      WINOGRAD_INPUT_2(d[c], d[kInputs + c], d[2 * kInputs + c], d[3 * kInputs + c])
    }
  }
  vec4 made[kInputs * kInputs];
  [[unroll]] for (uint r = 0; r < kInputs; ++r) {
    uint at = r * kInputs;
    if (kOutputs == 4) {
      WINOGRAD_INPUT_4(d[at], d[at + 1], d[at + 2], d[at + 3], d[at + 4], d[at + 5])
    } else {
      WINOGRAD_INPUT_2(d[at], d[at + 1], d[at + 2], d[at + 3])
    }
    [[unroll]] for (uint c = 0; c < kInputs; ++c) {
      made[at + c] = d[at + c];
    }
  }
  uint plane = p.tiles * p.conv.in_c4;
  EACH_STORE(i, kInputs * kInputs, v[i * plane + index] = made[i])
}
