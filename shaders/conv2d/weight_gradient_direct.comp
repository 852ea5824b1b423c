#version 450
// The weight gradient of any convolution: four input channels of one filter tap an invocation. The
// fallback, whatever groups, strides and devices.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_gradient_params.h"

layout(push_constant) uniform Push { WeightGradientParams p; };

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) readonly buffer Gradient { scalar_t dy[]; };
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };  // [part][o][tap][in4]

void main() {
  uint index = invocation_index();
  uint in4 = (p.group_in + 3) / 4;
  uint block = index % in4;
  uint kx = index / in4 % p.kernel_w;
  uint ky = index / (in4 * p.kernel_w) % p.kernel_h;
  uint o = index / (in4 * p.kernel_w * p.kernel_h) % p.out_c;
  uint part = index / (in4 * p.kernel_w * p.kernel_h * p.out_c);
  if (part >= p.parts) return;
  uint first_channel = o / p.group_out * p.group_in + block * 4;
  uint rows = (p.pixels + p.out_w - 1) / p.out_w;
  uint end_row = min((part + 1) * p.part_rows, rows);
  vec4 sum = vec4(0);
  for (uint row = part * p.part_rows; row < end_row; ++row) {
    uint image = row / p.out_h;
    uint y = (row - image * p.out_h) * p.stride_h + ky * p.dilation_h - p.pad_h;  // May wrap.
    if (y >= p.in_h) continue;
    uint width = min(p.out_w, p.pixels - row * p.out_w);
    for (uint column = 0; column < width; ++column) {
      uint xx = column * p.stride_w + kx * p.dilation_w - p.pad_w;
      if (xx >= p.in_w) continue;
      float g = float(dy[(row * p.out_w + column) * p.out_c4 * 4 + o]);
      uint from = ((image * p.in_h + y) * p.in_w + xx) * p.in_c4 * 4 + first_channel;
      [[unroll]] for (uint k = 0; k < 4; ++k) {
        if (block * 4 + k < p.group_in) sum[k] += g * float(x[from + k]);
      }
    }
  }
  parts[p.first_part * p.out_c * p.kernel_h * p.kernel_w * in4 + index] = sum;
}
