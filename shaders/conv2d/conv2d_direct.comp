#version 450
// Any convolution, one output element an invocation: the fallback that fits every shape and
// grouping, and the yardstick that other variants are tested beside.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };       // [pixel][in_c4 * 4]
layout(std430, binding = 1) readonly buffer Weight { scalar_t weight[]; };  // OHWI, I padded to 4
layout(std430, binding = 2) writeonly buffer Output { scalar_t y[]; };
layout(std430, binding = 3) readonly buffer Bias { float bias[]; };
layout(std430, binding = 4) readonly buffer Residual { scalar_t residual[]; };

#include "../common/epilogue.glsl"

void main() {
  uint index = invocation_index();
  uint out_stride = p.out_c4 * 4;
  uint pixel = index / out_stride;
  uint o = index - pixel * out_stride;
  if (pixel >= p.pixels) return;

  Pixel at = locate(pixel);
  uint first_in = o / p.group_out * p.group_in;
  uint in_stride = p.in_c4 * 4;
  uint weight_stride = (p.group_in + 3) / 4 * 4;
  uint w = o * p.kernel_h * p.kernel_w * weight_stride;
  float sum = 0.0;
  bool there = o < p.out_c;
  for (uint ky = 0; there && ky < p.kernel_h; ++ky) {
    for (uint kx = 0; kx < p.kernel_w; ++kx, w += weight_stride) {
      int tap = tap_pixel(at, ky, kx);
      if (tap < 0) continue;
      uint from = uint(tap) * in_stride + first_in;
      for (uint i = 0; i < p.group_in; ++i) {
        sum += widen1(x[from + i]) * widen1(weight[w + i]);
      }
    }
  }
  if (there && (p.epilogue & kEpilogueBias) != 0) sum += bias[o];
  if (there && (p.epilogue & kEpilogueResidual) != 0) sum += widen1(residual[index]);
  sum = activate(vec4(sum), p.epilogue & kEpilogueActivationMask).x;
  y[index] = narrow1(there ? sum : 0.0);
}
