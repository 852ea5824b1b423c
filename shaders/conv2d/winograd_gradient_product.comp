#version 450
// dU += dM^T V for each of the 36 elements of a tile: a batch of matrix products in registers
// (weight_gradient_lanes.glsl), whose pixels here are tiles.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "weight_gradient_lanes.glsl"
#include "winograd_params.h"

PUSH_CONSTANTS(WinogradParams)

layout(binding = 0, rgba32f) readonly uniform imageBuffer x;   // V, [36][tile][in_c4]
layout(binding = 1, rgba32f) readonly uniform imageBuffer dy;  // dM, [36][tile][out_c4]
layout(std430, binding = 2) buffer Sums { vec4 du[]; };        // [36][o][in4]

uint in4() { return (p.conv.group_in + 3) / 4; }

void store(uint element, uint o, uint place, vec4 sum) {
  if (place < in4() && o < p.conv.out_c) {
    uint to = (element * p.conv.out_c + o) * in4() + place;
    du[to] = p.add != 0 ? du[to] + sum : sum;
  }
}

void main() {
  uint lanes = gl_WorkGroupSize.x;
  uint lane = gl_SubgroupInvocationID;
  uint place_tiles = (in4() + lanes - 1) / lanes;
  uint output_tiles = (p.conv.out_c4 + kBlocks - 1) / kBlocks;
  uint group = workgroup_index();
  uint place = group % place_tiles * lanes + lane;
  group /= place_tiles;
  uint first_output = group % output_tiles * kOutputs;
  uint element = group / output_tiles;
  if (element >= p.elements) return;  // Of the whole subgroup alike.

  uint channel = min(place, in4() - 1);
  uint base = element * p.tiles;
  clear_sums();
  for (uint first = 0; first < p.tiles; first += kStep) {
    vec4 g[kLoads];
    [[unroll]] for (uint j = 0; j < kLoads; ++j) {
      uint tile = first + load_pixel(j, lane);
      uint block = min(first_output / 4 + load_block(j, lane), p.conv.out_c4 - 1);
      g[j] = imageLoad(dy, int((base + min(tile, p.tiles - 1)) * p.conv.out_c4 + block));
      g[j] = tile < p.tiles ? g[j] : vec4(0);
    }
    vec4 v[kStep];
    [[unroll]] for (uint q = 0; q < kStep; ++q) {
      v[q] = imageLoad(x, int((base + min(first + q, p.tiles - 1)) * p.conv.in_c4 + channel));
    }
    add_products(g, v);
  }

  vec4 made[kOutputs];
  [[unroll]] for (uint o = 0; o < kOutputs; ++o) made[o] = sums[o];
  EACH_STORE(o, kOutputs, store(element, first_output + o, place, made[o]))
}
