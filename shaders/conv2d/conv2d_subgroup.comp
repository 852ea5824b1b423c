#version 450
// A convolution as a matrix product in registers (common/subgroup_tile.glsl), a filter tap at a
// time.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(binding = 0, TEXEL_FORMAT) readonly uniform TEXELS_T x;       // [pixel][in_c4]
layout(binding = 1, TEXEL_FORMAT) readonly uniform TEXELS_T weight;  // [panel][tap][in4][8]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_TEXELS
#define EPILOGUE_CONSTANT 5
#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"
#include "../common/subgroup_tile.glsl"

void store(uint pixel, uint block, vec4 sum) {
  if (pixel < p.pixels && block < p.out_c4) {
    uint to = pixel * p.out_c4 + block;
    y[to] = narrow(apply_epilogue(sum, p.epilogue, block, p.out_c, to));
  }
}

void main() {
  uint lanes = gl_WorkGroupSize.x;
  uint lane = gl_SubgroupInvocationID;
  uint channel_tiles = (p.out_c4 * 4 + kChannels - 1) / kChannels;
  uint group = workgroup_index();
  uint first_channel = group % channel_tiles * kChannels;
  uint first_pixel = group / channel_tiles * (kPixels * lanes);
  if (first_pixel >= p.pixels) return;  // Of the whole subgroup alike.

  Pixel at[kPixels];
  [[unroll]] for (uint b = 0; b < kPixels; ++b) {
    at[b] = locate(min(first_pixel + b * lanes + lane, p.pixels - 1));
  }
  uint in4 = (p.group_in + 3) / 4;
  uint first_in4 = first_channel / p.group_out * in4;
  uint last_panel = (p.out_c4 * 4 - 1) / 8;
  int panels[kPanels];
  [[unroll]] for (uint a = 0; a < kPanels; ++a) {
    uint panel = min(first_channel / 8 + a, last_panel);
    panels[a] = int(panel * p.kernel_h * p.kernel_w * in4 * 8 + lane % 8);
  }

  clear_sums();
  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      int from[kPixels];
      bool inside[kPixels];
      [[unroll]] for (uint b = 0; b < kPixels; ++b) {
        int tap = tap_pixel(at[b], ky, kx);
        inside[b] = tap >= 0;
        from[b] = max(tap, 0) * int(p.in_c4) + int(first_in4);
      }
      multiply_add(from, inside, panels, in4);
    }
  }

  vec4 made[kVectors];
  [[unroll]] for (uint i = 0; i < kVectors; ++i) made[i] = vector_of_sums(i);
  EACH_STORE(i, kVectors, store(first_pixel + i / kBlocks * lanes + lane,
                                first_channel / 4 + i % kBlocks, made[i]))
}
