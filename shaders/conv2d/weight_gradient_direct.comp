#version 450
// The weight gradient of any convolution: four input channels of one filter tap an invocation. The
// fallback, whatever groups, strides and devices.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_gradient_params.h"

PUSH_CONSTANTS(WeightGradientParams)

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) readonly buffer Gradient { scalar_t dy[]; };
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };  // [part][o][tap][in4]

void main() {
  uint index = invocation_index();
  uint in4 = (p.conv.group_in + 3) / 4;
  uint block = index % in4;
  uint kx = index / in4 % p.conv.kernel_w;
  uint ky = index / (in4 * p.conv.kernel_w) % p.conv.kernel_h;
  uint o = index / (in4 * p.conv.kernel_w * p.conv.kernel_h) % p.conv.out_c;
  uint part = index / (in4 * p.conv.kernel_w * p.conv.kernel_h * p.conv.out_c);
  if (part >= p.parts) return;
  uint first_channel = o / p.conv.group_out * p.conv.group_in + block * 4;
  uint rows = (p.conv.pixels + p.conv.out_w - 1) / p.conv.out_w;
  uint end_row = min((part + 1) * p.part_rows, rows);
  vec4 sum = vec4(0);
  for (uint row = part * p.part_rows; row < end_row; ++row) {
    uint image = row / p.conv.out_h;
    uint start = (row - image * p.conv.out_h) * p.conv.stride_h;
    uint y = start + ky * p.conv.dilation_h - p.conv.pad_h;  // Wraps in the padding.
    if (y >= p.conv.in_h) continue;
    uint width = min(p.conv.out_w, p.conv.pixels - row * p.conv.out_w);
    for (uint column = 0; column < width; ++column) {
      uint xx = column * p.conv.stride_w + kx * p.conv.dilation_w - p.conv.pad_w;
      if (xx >= p.conv.in_w) continue;
      float g = widen1(dy[(row * p.conv.out_w + column) * p.conv.out_c4 * 4 + o]);
      uint from = ((image * p.conv.in_h + y) * p.conv.in_w + xx) * p.conv.in_c4 * 4 + first_channel;
      [[unroll]] for (uint k = 0; k < 4; ++k) {
        if (block * 4 + k < p.conv.group_in) sum[k] += g * widen1(x[from + k]);
      }
    }
  }
  parts[p.first_part * p.conv.out_c * p.conv.kernel_h * p.conv.kernel_w * in4 + index] = sum;
}
