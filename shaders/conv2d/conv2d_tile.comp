#version 450
// A register tile of 4 output channels x 4 pixels an invocation, loads in vectors of four input
// channels:
//
//               4 pixels
//             +----------+
//   4 output  | 16 sums  |   a step: 4 vectors of weights, 4 of activations,
//   channels  |          |   16 dot products
//             +----------+
//
// Neighbouring invocations take neighbouring channels of the same pixels, so that stores are
// contiguous and activations are shared. Groups: of multiples of four channels.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };        // [pixel][in_c4]
layout(std430, binding = 1) readonly buffer Weight { vector_t weight[]; };  // [out4 * 4][tap][in4]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

const uint kPixels = 4;

void main() {
  uint index = invocation_index();
  uint first = index / p.out_c4 * kPixels;
  uint block = index % p.out_c4;
  if (first >= p.pixels) return;

  Pixel at[kPixels];
  [[unroll]] for (uint j = 0; j < kPixels; ++j) at[j] = locate(min(first + j, p.pixels - 1));

  uint group_in4 = (p.group_in + 3) / 4;
  uint first_in4 = min(block * 4, p.out_c - 1) / p.group_out * group_in4;  // Padding has no group.
  uint row = p.kernel_h * p.kernel_w * group_in4;  // Vectors of weights an output channel.
  uint w = block * 4 * row;
  vec4 sum[kPixels] = vec4[](vec4(0), vec4(0), vec4(0), vec4(0));
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      int tap[kPixels];
      [[unroll]] for (uint j = 0; j < kPixels; ++j) tap[j] = tap_pixel(at[j], ky, kx);
      for (uint i = 0; i < group_in4; ++i, ++w) {
        vec4 w0 = widen(weight[w]);
        vec4 w1 = widen(weight[w + row]);
        vec4 w2 = widen(weight[w + 2 * row]);
        vec4 w3 = widen(weight[w + 3 * row]);
        [[unroll]] for (uint j = 0; j < kPixels; ++j) {
          vec4 v = tap[j] < 0 ? vec4(0) : widen(x[uint(tap[j]) * p.in_c4 + first_in4 + i]);
          sum[j] += vec4(dot(v, w0), dot(v, w1), dot(v, w2), dot(v, w3));
        }
      }
    }
  }
  [[unroll]] for (uint j = 0; j < kPixels; ++j) {
    uint pixel = first + j;
    if (pixel >= p.pixels) break;
    uint to = pixel * p.out_c4 + block;
    y[to] = narrow(apply_epilogue(sum[j], p.epilogue, block, p.out_c, to));
  }
}
