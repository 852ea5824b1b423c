#version 450
// The mean of a window, counting the padding or not. A window cut off by ceil mode counts only
// what lies within the padded input, as in PyTorch.
#extension GL_GOOGLE_include_directive : require
#include "pool.glsl"

void main() {
  uint index = invocation_index();
  Place at = locate(index);
  if (at.pixel >= p.pixels) return;
  int top = int(at.row * p.stride_h) - int(p.pad_h);
  int left = int(at.column * p.stride_w) - int(p.pad_w);
  int bottom = min(top + int(p.kernel_h), int(p.in_h + p.pad_h));
  int right = min(left + int(p.kernel_w), int(p.in_w + p.pad_w));
  float padded_count = float(bottom - top) * float(right - left);
  top = max(top, 0);
  left = max(left, 0);
  bottom = min(bottom, int(p.in_h));
  right = min(right, int(p.in_w));
  vec4 sum = vec4(0);
  for (int row = top; row < bottom; ++row) {
    for (int column = left; column < right; ++column) sum += load(at, uint(row), uint(column));
  }
  float inner_count = float(bottom - top) * float(right - left);
  STORE(y, index, sum / (p.count_include_pad != 0 ? padded_count : inner_count));
}
