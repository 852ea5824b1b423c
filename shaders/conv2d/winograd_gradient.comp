#version 450
// dM = A dy A^T: one output tile of four channels an invocation. Pixels past the image's end count
// as zeros.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "winograd.glsl"

#define ROLLED_CONSTANT 1
#include "../common/rolled.glsl"

layout(binding = 0, TEXEL_FORMAT) readonly uniform TEXELS_T dy;    // [pixel][out_c4]
layout(std430, binding = 1) writeonly buffer Output { vec4 dm[]; };  // [36][tile][out_c4]

void main() {
  uint index = invocation_index();
  uint tile = index / p.conv.out_c4;
  uint block = index - tile * p.conv.out_c4;
  if (tile >= p.tiles) return;
  uint row = tile / p.tiles_w;
  uint image = row / p.tiles_h;
  uint left = (tile - row * p.tiles_w) * 4;
  uint top = (row - image * p.tiles_h) * 4;

  vec4 d[36];
  [[unroll]] for (uint r = 0; r < 4; ++r) {
    [[unroll]] for (uint c = 0; c < 4; ++c) {
      bool inside = top + r < p.conv.out_h && left + c < p.conv.out_w;
      uint pixel = (image * p.conv.out_h + top + r) * p.conv.out_w + left + c;
      vec4 loaded = load_texel(dy, int(inside ? pixel * p.conv.out_c4 + block : 0));
      d[r * 6 + c] = inside ? loaded : vec4(0);
    }
  }
  [[unroll]] for (uint c = 0; c < 4; ++c) {
    WINOGRAD_GRADIENT_4(d[c], d[6 + c], d[12 + c], d[18 + c], d[24 + c], d[30 + c])
  }
  vec4 made[36];
  [[unroll]] for (uint r = 0; r < 6; ++r) {
    uint at = r * 6;
    WINOGRAD_GRADIENT_4(d[at], d[at + 1], d[at + 2], d[at + 3], d[at + 4], d[at + 5])
    [[unroll]] for (uint c = 0; c < 6; ++c) made[at + c] = d[at + c];
  }
  uint plane = p.tiles * p.conv.out_c4;
  EACH_STORE(i, 36, dm[i * plane + index] = made[i])
}
