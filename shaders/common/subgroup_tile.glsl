// A matrix product in registers: one subgroup a workgroup, no shared memory. Lanes hold pixels
// (rows of the product), weights are broadcast by shuffle.
//
//                  P x S pixels (lane l holds pixels l, l + S, ..., l + (P - 1) S)
//                +-----------------------------------------------------------------+
//   8 A output   |  8 A P sums a lane                                              |
//   channels     |                                                                 |
//                +-----------------------------------------------------------------+
//
// A step takes four input channels: lane l loads its pixels' and, of each panel of eight output
// channels, the weights of channel l % 8. S is the subgroup's size, 8 or more.
//
// Loads go through texel buffers: on software drivers, which make eight scalar loads of any load
// whose address varies by lane, those are the widest. Sums are finished channel by channel, so that
// a compiler with few registers keeps those of one channel in them through a whole step. Longer
// steps would load and store sums less often, but are more code than a CPU's instruction cache.
//
// Expects `x` and `weight`, the texel buffers.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(constant_id = 1) const uint kPanels = 2;  // A
layout(constant_id = 2) const uint kPixels = 4;  // P
layout(constant_id = 3) const bool kMasked = true;  // Whether pixels may lie in the padding.

#include "storage.glsl"
#define ROLLED_CONSTANT 4
#include "rolled.glsl"

const uint kChannels = kPanels * 8;
const uint kBlocks = kChannels / 4;
const uint kVectors = kPixels * kBlocks;

float sums[kChannels * kPixels];  // [channel][pixel]

void clear_sums() {
  [[unroll]] for (uint s = 0; s < kChannels * kPixels; ++s) sums[s] = 0.0;
}

// sums += the product over `count4` vectors of input channels. `from`: where each pixel's start in
// x; those not `inside` count as zeros. `panels`: where each panel's start in `weight` for this
// lane's channel; left past them.
void multiply_add(int from[kPixels], bool inside[kPixels], inout int panels[kPanels], uint count4) {
  for (uint i = 0; i < count4; ++i) {
    vec4 v[kPixels];
    vec4 w[kPanels];
    [[unroll]] for (uint b = 0; b < kPixels; ++b) {
      vec4 loaded = load_texel(x, from[b] + int(i));
      v[b] = !kMasked || inside[b] ? loaded : vec4(0);
    }
    [[unroll]] for (uint a = 0; a < kPanels; ++a) {
      w[a] = load_texel(weight, panels[a]);
      panels[a] += 8;
    }
    [[unroll]] for (uint o = 0; o < kChannels; ++o) {
      [[unroll]] for (uint k = 0; k < 4; ++k) {
        float factor = subgroupShuffle(w[o / 8][k], o % 8);
        [[unroll]] for (uint b = 0; b < kPixels; ++b) sums[o * kPixels + b] += factor * v[b][k];
      }
    }
  }
}

// The sums as vectors of four output channels, [pixel][block].
vec4 vector_of_sums(uint i) {
  uint first = i % kBlocks * 4 * kPixels + i / kBlocks;
  return vec4(sums[first], sums[first + kPixels], sums[first + 2 * kPixels],
              sums[first + 3 * kPixels]);
}
