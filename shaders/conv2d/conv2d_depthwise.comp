#version 450
// One filter a channel: four channels of one pixel an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };        // [pixel][c4]
layout(std430, binding = 1) readonly buffer Weight { vector_t weight[]; };  // [tap][c4]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

void main() {
  uint index = invocation_index();
  uint pixel = index / p.out_c4;
  uint block = index - pixel * p.out_c4;
  if (pixel >= p.pixels) return;
  Pixel at = locate(pixel);
  vec4 sum = vec4(0);
  uint w = block;
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    for (uint kx = 0; kx < p.kernel_w; ++kx, w += p.out_c4) {
      int tap = tap_pixel(at, ky, kx);
      if (tap >= 0) sum += widen(x[uint(tap) * p.in_c4 + block]) * widen(weight[w]);
    }
  }
  y[index] = narrow(apply_epilogue(sum, p.epilogue, block, p.out_c, index));
}
