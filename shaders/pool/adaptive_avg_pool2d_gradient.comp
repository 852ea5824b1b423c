#version 450
// Each bin spreads its gradient evenly over its pixels. Bin i of n covers [floor(i * in / n),
// ceil((i + 1) * in / n)).
#extension GL_GOOGLE_include_directive : require
#include "pool_gradient.glsl"

VECTORS_OUT(1, dx);

// Bins that hold `place`: from first to last.
uvec2 bins_of(uint place, uint size, uint bins) {
  uint first = place * bins / size;
  while (first > 0 && (first * size + bins - 1) / bins > place) --first;
  uint last = ((place + 1) * bins - 1) / size;
  return uvec2(first, min(last, bins - 1));
}

uint bin_size(uint bin, uint size, uint bins) {
  return ((bin + 1) * size + bins - 1) / bins - bin * size / bins;
}

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  uvec2 rows = bins_of(at.row, p.in_h, p.out_h);
  uvec2 columns = bins_of(at.column, p.in_w, p.out_w);
  vec4 sum = vec4(0);
  for (uint row = rows.x; row <= rows.y; ++row) {
    for (uint column = columns.x; column <= columns.y; ++column) {
      uint count = bin_size(row, p.in_h, p.out_h) * bin_size(column, p.in_w, p.out_w);
      sum += gradient(at, row, column) / float(count);
    }
  }
  STORE(dx, index, sum);
}
