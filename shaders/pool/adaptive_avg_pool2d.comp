#version 450
// The mean of bin i: rows floor(i * in / out) to ceil((i + 1) * in / out), columns likewise.
#extension GL_GOOGLE_include_directive : require
#include "pool.glsl"

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  uint top = at.row * p.in_h / p.out_h;
  uint bottom = ((at.row + 1) * p.in_h + p.out_h - 1) / p.out_h;
  uint left = at.column * p.in_w / p.out_w;
  uint right = ((at.column + 1) * p.in_w + p.out_w - 1) / p.out_w;
  vec4 sum = vec4(0);
  for (uint row = top; row < bottom; ++row) {
    vec4 row_sum = vec4(0);  // Partial sums keep the error of a long sum down.
    for (uint column = left; column < right; ++column) row_sum += load(at, row, column);
    sum += row_sum;
  }
  STORE(y, index, sum / (float(bottom - top) * float(right - left)));
}
