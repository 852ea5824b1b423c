#version 450
// The largest of a window; padding is minus infinity, and a NaN wins as in PyTorch.
#extension GL_GOOGLE_include_directive : require
#include "pool.glsl"
#include "../common/epilogue.glsl"

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  vec4 best = vec4(uintBitsToFloat(0xff800000u));
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    uint row = at.row * p.stride_h + ky * p.dilation_h - p.pad_h;  // Wraps in the padding.
    if (row >= p.in_h) continue;
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      uint column = at.column * p.stride_w + kx * p.dilation_w - p.pad_w;
      if (column >= p.in_w) continue;
      best = max_nan(best, load(at, row, column));
    }
  }
  STORE(y, index, zero_tail(best, at.block, p.channels));
}
