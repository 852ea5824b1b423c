#version 450
// At which of a window's taps its greatest stands, the first of them row by row: of each of four
// channels 16 bits. A NaN takes the place of what stood before it, as in PyTorch.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/nan.glsl"
#include "../common/vectors.glsl"
#include "place.glsl"
#include "pool_params.h"

PUSH_CONSTANTS(PoolParams)

VECTORS_IN(0, x);
layout(std430, binding = 1) writeonly buffer Places { uvec2 places[]; };

void main() {
  uint index = invocation_index();
  Place at = locate(index, p.c4, p.out_h, p.out_w);
  if (at.pixel >= p.pixels) return;
  vec4 best = vec4(uintBitsToFloat(0xff800000u));
  uvec4 tap = uvec4(0xffffu);
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    uint row = at.row * p.stride_h + ky * p.dilation_h - p.pad_h;  // Wraps in the padding.
    if (row >= p.in_h) continue;
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      uint column = at.column * p.stride_w + kx * p.dilation_w - p.pad_w;
      if (column >= p.in_w) continue;
      vec4 v = LOAD(x, ((at.image * p.in_h + row) * p.in_w + column) * p.c4 + at.block);
      bvec4 first = equal(tap, uvec4(0xffffu));
      bvec4 greater = unless_nan(greaterThan(v, best), best);
      bvec4 take = mix(greater, bvec4(true), mix(first, bvec4(true), is_nan(v)));
      best = mix(best, v, take);
      tap = mix(tap, uvec4(ky * p.kernel_w + kx), take);
    }
  }
  places[index] = uvec2(tap.x | tap.y << 16, tap.z | tap.w << 16);
}
