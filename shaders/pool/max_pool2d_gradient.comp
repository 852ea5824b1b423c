#version 450
// To the first of each window's greatest, row by row; a NaN takes the place of what stood before
// it. Each window that holds the pixel is gone through again.
#extension GL_GOOGLE_include_directive : require
#include "pool_gradient.glsl"

layout(std430, binding = 1) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 2) writeonly buffer Output { vector_t dx[]; };

// Per channel: the tap of the window at which its greatest stands.
uvec4 greatest(Place at, uint out_row, uint out_column) {
  vec4 best = vec4(uintBitsToFloat(0xff800000u));
  uvec4 tap = uvec4(~0u);
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    uint row = out_row * p.stride_h + ky * p.dilation_h - p.pad_h;  // Wraps in the padding.
    if (row >= p.in_h) continue;
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      uint column = out_column * p.stride_w + kx * p.dilation_w - p.pad_w;
      if (column >= p.in_w) continue;
      vec4 v = vec4(x[((at.image * p.in_h + row) * p.in_w + column) * p.c4 + at.block]);
      bvec4 first = equal(tap, uvec4(~0u));
      bvec4 take = bvec4(uvec4(greaterThan(v, best)) | uvec4(isnan(v)) | uvec4(first));
      best = mix(best, v, take);
      tap = mix(tap, uvec4(ky * p.kernel_w + kx), take);
    }
  }
  return tap;
}

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
      bvec4 here = equal(greatest(at, row, column), uvec4(ky * p.kernel_w + kx));
      sum += mix(vec4(0), gradient(at, row, column), here);
    }
  }
  dx[index] = vector_t(sum);
}
