#version 450
// To the first of each window's greatest, which the forward pool noted (max_pool2d_places): each
// window that holds the pixel is asked.
#extension GL_GOOGLE_include_directive : require
#include "pool_gradient.glsl"

layout(std430, binding = 1) readonly buffer Places { uvec2 places[]; };
VECTORS_OUT(2, dx);

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  vec4 sum = vec4(0);
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    uint row = window(at.row, ky, p.pad_h, p.dilation_h, p.stride_h, p.out_h);
    if (row == p.out_h) continue;
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      uint column = window(at.column, kx, p.pad_w, p.dilation_w, p.stride_w, p.out_w);
      if (column == p.out_w) continue;
      uvec2 taps = places[((at.image * p.out_h + row) * p.out_w + column) * p.c4 + at.block];
      uvec4 tap = uvec4(taps.x & 0xffffu, taps.x >> 16, taps.y & 0xffffu, taps.y >> 16);
      bvec4 here = equal(tap, uvec4(ky * p.kernel_w + kx));
      sum += mix(vec4(0), gradient(at, row, column), here);
    }
  }
  STORE(dx, index, sum);
}
