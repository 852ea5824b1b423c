#version 450
// max_pool2d for training: the largest of a window, and at which of its taps it stands, the first of
// them row by row: 16 bits for each of four channels. A NaN takes the place of what stood before it,
// as in PyTorch.
#extension GL_GOOGLE_include_directive : require
#include "pool.glsl"
#include "../common/epilogue.glsl"
#include "../common/nan.glsl"

layout(std430, binding = 2) writeonly buffer Places { uvec2 places[]; };

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  vec4 best = vec4(uintBitsToFloat(0xff800000u));
  uvec4 tap = uvec4(0xffffu);
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    uint row = at.row * p.stride_h + ky * p.dilation_h - p.pad_h;  // Wraps in the padding.
    if (row >= p.in_h) continue;
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      uint column = at.column * p.stride_w + kx * p.dilation_w - p.pad_w;
      if (column >= p.in_w) continue;
      vec4 v = load(at, row, column);
      bvec4 first = equal(tap, uvec4(0xffffu));
      bvec4 greater = unless_nan(greaterThan(v, best), best);
      bvec4 take = mix(greater, bvec4(true), mix(first, bvec4(true), is_nan(v)));
      best = mix(best, v, take);
      tap = mix(tap, uvec4(ky * p.kernel_w + kx), take);
    }
  }
  STORE(y, index, zero_tail(best, at.block, p.channels));
  places[index] = uvec2(tap.x | tap.y << 16, tap.z | tap.w << 16);
}
