#version 450
// M = U V for each of the n^2 elements of a tile: a batch of matrix products in registers
// (common/subgroup_tile.glsl), whose pixels here are tiles.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "winograd_params.h"

PUSH_CONSTANTS(WinogradParams)

layout(binding = 0, rgba32f) readonly uniform imageBuffer x;       // [n^2][tile][in_c4]
layout(binding = 1, rgba32f) readonly uniform imageBuffer weight;  // [n^2][panel][in4][8]
layout(std430, binding = 2) writeonly buffer Output { vec4 y[]; };  // [n^2][tile][out_c4]

#include "../common/subgroup_tile.glsl"

void store(uint element, uint tile, uint block, vec4 sum) {
  if (tile < p.tiles && block < p.conv.out_c4) {
    y[(element * p.tiles + tile) * p.conv.out_c4 + block] = sum;
  }
}

void main() {
  uint lanes = gl_WorkGroupSize.x;
  uint lane = gl_SubgroupInvocationID;
  uint channel_tiles = (p.conv.out_c4 * 4 + kChannels - 1) / kChannels;
  uint group = workgroup_index();
  uint first_channel = group % channel_tiles * kChannels;
  group /= channel_tiles;
  uint tile_groups = (p.tiles + kPixels * lanes - 1) / (kPixels * lanes);
  uint first_tile = group % tile_groups * (kPixels * lanes);
  uint element = group / tile_groups;
  if (element >= p.elements) return;  // Of the whole subgroup alike.

  int from[kPixels];
  bool inside[kPixels];
  [[unroll]] for (uint b = 0; b < kPixels; ++b) {
    uint tile = min(first_tile + b * lanes + lane, p.tiles - 1);
    from[b] = int((element * p.tiles + tile) * p.conv.in_c4);
    inside[b] = true;
  }
  uint in4 = (p.conv.group_in + 3) / 4;
  uint all_panels = (p.conv.out_c4 * 4 + 7) / 8;
  int panels[kPanels];
  [[unroll]] for (uint a = 0; a < kPanels; ++a) {
    uint panel = element * all_panels + min(first_channel / 8 + a, all_panels - 1);
    panels[a] = int(panel * in4 * 8 + lane % 8);
  }

  clear_sums();
  multiply_add(from, inside, panels, in4);

  vec4 made[kVectors];
  [[unroll]] for (uint i = 0; i < kVectors; ++i) made[i] = vector_of_sums(i);
  EACH_STORE(i, kVectors, store(element, first_tile + i / kBlocks * lanes + lane,
                                first_channel / 4 + i % kBlocks, made[i]))
}
