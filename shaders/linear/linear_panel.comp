#version 450
// A linear layer for few images, which waits for its weights: each is loaded once.
//
//            in: a step of 32
//          +------------------+
//   8      | lane l: row l,   |   x is loaded by lanes, a vector each, and broadcast by
//  outputs | a vector a load  |   shuffle; kImages sums a lane
//          +------------------+
//
// One panel of eight outputs for every eight lanes of a subgroup, which is a workgroup.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "linear_params.h"

PUSH_CONSTANTS(LinearParams)

layout(constant_id = 1) const uint kImages = 1;

layout(binding = 0, TEXEL_FORMAT) readonly uniform TEXELS_T x;       // [image][in_c4]
layout(binding = 1, TEXEL_FORMAT) readonly uniform TEXELS_T weight;  // [panel][in4][8]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

void main() {
  uint lane = gl_SubgroupInvocationID;
  uint lane_panels = gl_WorkGroupSize.x / 8;
  uint panels = (p.blocks + 1) / 2;
  uint panel_groups = (panels + lane_panels - 1) / lane_panels;
  uint group = workgroup_index();
  uint first_image = group / panel_groups * kImages;
  if (first_image >= p.images) return;  // Of the whole subgroup alike.
  uint panel = group % panel_groups * lane_panels + lane / 8;
  int row = int(min(panel, panels - 1) * p.in4 * 8 + lane % 8);

  float sums[kImages];
  [[unroll]] for (uint j = 0; j < kImages; ++j) sums[j] = 0.0;
  for (uint i = 0; i < p.in4; i += 8) {
    uint own = i + lane % 8;
    vec4 v[kImages];
    [[unroll]] for (uint j = 0; j < kImages; ++j) {
      uint image = min(first_image + j, p.images - 1);
      vec4 loaded = load_texel(x, int(image * p.in_c4 + min(own, p.in4 - 1)));
      v[j] = own < p.in4 ? loaded : vec4(0);
    }
    [[unroll]] for (uint q = 0; q < 8; ++q) {
      vec4 w = load_texel(weight, row + int(min(i + q, p.in4 - 1) * 8));
      [[unroll]] for (uint j = 0; j < kImages; ++j) {
        [[unroll]] for (uint k = 0; k < 4; ++k) sums[j] += w[k] * subgroupShuffle(v[j][k], q);
      }
    }
  }

  uint block = panel * 2 + lane % 8 / 4;  // Of four outputs, which as many lanes hold.
  [[unroll]] for (uint j = 0; j < kImages; ++j) {
    uint first = lane / 4 * 4;
    vec4 result = vec4(subgroupShuffle(sums[j], first), subgroupShuffle(sums[j], first + 1),
                       subgroupShuffle(sums[j], first + 2), subgroupShuffle(sums[j], first + 3));
    uint image = first_image + j;
    if (lane % 4 == 0 && block < p.blocks && image < p.images) {
      uint to = image * p.out4 + p.first_block + block;
      y[to] = narrow(apply_epilogue(result, p.epilogue, p.first_block + block, p.out_c, to));
    }
  }
}
