#version 450
// Each window spreads its gradient evenly over the pixels that it averaged.
#extension GL_GOOGLE_include_directive : require
#include "pool_gradient.glsl"

VECTORS_OUT(1, dx);

// Places of a window along one side, by which its sum was divided: those in the padding count where
// count_include_pad is set, but none beyond the padding.
uint extent(uint place, uint kernel, uint stride, uint pad, uint size) {
  int start = int(place * stride) - int(pad);
  int end = min(start + int(kernel), int(size + pad));
  if (p.count_include_pad != 0) return uint(end - start);
  return uint(min(end, int(size)) - max(start, 0));
}

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  vec4 sum = vec4(0);
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    uint row = window(at.row, ky, p.pad_h, 1, p.stride_h, p.out_h);
    if (row == p.out_h) continue;
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      uint column = window(at.column, kx, p.pad_w, 1, p.stride_w, p.out_w);
      if (column == p.out_w) continue;
      uint count = extent(row, p.kernel_h, p.stride_h, p.pad_h, p.in_h) *
                   extent(column, p.kernel_w, p.stride_w, p.pad_w, p.in_w);
      sum += gradient(at, row, column) / float(count);
    }
  }
  STORE(dx, index, sum);
}
