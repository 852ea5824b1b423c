#version 450
// The weight gradient of a convolution as a product of matrices in registers
// (weight_gradient_lanes.glsl). Lanes hold filter places, tap and four input channels each; a step
// takes pixels of one output row, and of each of them a lane loads what its place meets there.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_gradient_params.h"
#include "weight_gradient_lanes.glsl"

layout(constant_id = 5) const bool kMasked = true;  // Whether filters reach into the padding.

PUSH_CONSTANTS(WeightGradientParams)

layout(binding = 0, TEXEL_FORMAT) readonly uniform TEXELS_T x;
layout(binding = 1, TEXEL_FORMAT) readonly uniform TEXELS_T dy;
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };  // [part][o][tap][in4]

void store(uint first_row, uint o, uint places, uint place, vec4 sum) {
  if (place < places && o < p.conv.out_c) parts[(first_row + o) * places + place] = sum;
}

void main() {
  uint lanes = gl_WorkGroupSize.x;
  uint lane = gl_SubgroupInvocationID;
  uint in4 = (p.conv.group_in + 3) / 4;
  uint places = p.conv.kernel_h * p.conv.kernel_w * in4;
  uint place_tiles = (places + lanes - 1) / lanes;
  uint output_tiles = (p.conv.out_c4 + kBlocks - 1) / kBlocks;
  uint group = workgroup_index();
  uint place = group % place_tiles * lanes + lane;
  group /= place_tiles;
  uint first_output = group % output_tiles * kOutputs;
  uint part = group / output_tiles;
  if (part >= p.parts) return;  // Of the whole subgroup alike.

  uint place_inside = min(place, places - 1);
  uint tap = place_inside / in4;
  int channel = int(place_inside - tap * in4 + first_output / p.conv.group_out * in4);
  uint ky = tap / p.conv.kernel_w;
  int tap_y = int(ky * p.conv.dilation_h) - int(p.conv.pad_h);
  int tap_x = int((tap - ky * p.conv.kernel_w) * p.conv.dilation_w) - int(p.conv.pad_w);

  clear_sums();
  uint rows = (p.conv.pixels + p.conv.out_w - 1) / p.conv.out_w;
  uint end_row = min((part + 1) * p.part_rows, rows);
  for (uint row = part * p.part_rows; row < end_row; ++row) {
    uint image = row / p.conv.out_h;
    int y = int(row - image * p.conv.out_h) * int(p.conv.stride_h) + tap_y;
    bool row_inside = uint(y) < p.conv.in_h;
    int base = (int(image * p.conv.in_h) + (row_inside ? y : 0)) * int(p.conv.in_w);
    uint width = min(p.conv.out_w, p.conv.pixels - row * p.conv.out_w);
    for (uint first = 0; first < width; first += kStep) {
      vec4 g[kLoads];
      [[unroll]] for (uint j = 0; j < kLoads; ++j) {
        uint pixel = first + load_pixel(j, lane);
        uint block = min(first_output / 4 + load_block(j, lane), p.conv.out_c4 - 1);
        uint at = row * p.conv.out_w + min(pixel, width - 1);
        g[j] = load_texel(dy, int(at * p.conv.out_c4 + block));
        g[j] = pixel < width ? g[j] : vec4(0);
      }
      vec4 v[kStep];
      [[unroll]] for (uint q = 0; q < kStep; ++q) {
        int column = int(min(first + q, width - 1) * p.conv.stride_w) + tap_x;
        bool inside = row_inside && uint(column) < p.conv.in_w;
        if (kMasked) column = clamp(column, 0, int(p.conv.in_w) - 1);
        v[q] = load_texel(x, (base + column) * int(p.conv.in_c4) + channel);
        if (kMasked) v[q] = inside ? v[q] : vec4(0);
      }
      add_products(g, v);
    }
  }

  vec4 made[kOutputs];
  [[unroll]] for (uint o = 0; o < kOutputs; ++o) made[o] = sums[o];
  uint first_row = (p.first_part + part) * p.conv.out_c;
  EACH_STORE(o, kOutputs, store(first_row, first_output + o, places, place, made[o]))
}
