// A sum of outer products in registers: one subgroup a workgroup, no shared memory. Lanes hold
// vectors of input channels, gradients are broadcast by shuffle.
//
//                      S vectors of four input channels, one a lane
//                    +-----------------------------------------------------------+
//   4 B output       |  4 B vectors of sums a lane                               |
//   channels of dy   |                                                           |
//                    +-----------------------------------------------------------+
//
// A step takes K pixels. Of each a lane loads its own vector of x; the K B vectors of dy are shared
// out among the lanes. Sums are finished channel by channel, so that a compiler with few registers
// keeps one channel's in them through a whole step. S, the subgroup's size, is 8 or more.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(constant_id = 1) const uint kBlocks = 4;  // B: vectors of output channels.
layout(constant_id = 2) const uint kLanes = 8;   // S
layout(constant_id = 3) const uint kStep = 8;    // K; K B is a multiple of S.

#define ROLLED_CONSTANT 4
#include "../common/rolled.glsl"

const uint kOutputs = 4 * kBlocks;
const uint kLoads = kStep * kBlocks / kLanes;  // Of dy a lane.

// The vector of dy that a lane's load j is: [pixel][block].
uint load_pixel(uint j, uint lane) { return j * kLanes / kBlocks + lane / kBlocks; }
uint load_block(uint j, uint lane) { return j * kLanes % kBlocks + lane % kBlocks; }

vec4 sums[kOutputs];

void clear_sums() {
  [[unroll]] for (uint o = 0; o < kOutputs; ++o) sums[o] = vec4(0);
}

// sums += dy^T x of a step: the lane's share of dy, and its own vector of x at each pixel.
void add_products(vec4 g[kLoads], vec4 v[kStep]) {
  [[unroll]] for (uint o = 0; o < kOutputs; ++o) {
    [[unroll]] for (uint q = 0; q < kStep; ++q) {
      uint from = q * kBlocks + o / 4;
      sums[o] += subgroupShuffle(g[from / kLanes][o % 4], from % kLanes) * v[q];
    }
  }
}
