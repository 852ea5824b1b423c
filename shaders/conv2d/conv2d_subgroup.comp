#version 450
// One subgroup a workgroup, no shared memory: lanes hold pixels, weights are broadcast by shuffle.
//
//              4 x S pixels (lane l holds pixels l, l + S, l + 2S, l + 3S)
//            +-----------------------------------------------+
//  16 output |  64 sums a lane                               |   a step: 4 or 8 input channels;
//  channels  |                                               |   lane l loads the weights of
//            +-----------------------------------------------+   channels l % 8 and 8 + l % 8
//
// Loads go through texel buffers: on software drivers, which make eight scalar loads of any load
// whose address varies by lane, those are the widest. S is the subgroup's size, 8 or more.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "../common/grid.glsl"
#include "conv2d.glsl"

layout(constant_id = 1) const uint kStep4 = 2;  // Vectors of input channels a step: 1 or 2.

layout(binding = 0, TEXEL_FORMAT) readonly uniform imageBuffer x;       // [pixel][in_c4]
layout(binding = 1, TEXEL_FORMAT) readonly uniform imageBuffer weight;  // [out][tap][group_in4]
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

const uint kPixels = 4;
const uint kChannels = 16;

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
  uint group_in4 = (p.group_in + 3) / 4;
  uint first_in4 = first_channel / p.group_out * group_in4;
  uint row = p.kernel_h * p.kernel_w * group_in4;
  uint last_channel = p.out_c4 * 4 - 1;
  int w0 = int(min(first_channel + lane % 8, last_channel) * row);
  int w1 = int(min(first_channel + 8 + lane % 8, last_channel) * row);

  vec4 sum[kChannels];  // By channel; components are the lane's pixels.
  [[unroll]] for (uint o = 0; o < kChannels; ++o) sum[o] = vec4(0);

  for (uint ky = 0; ky < p.kernel_h; ++ky) {
    for (uint kx = 0; kx < p.kernel_w; ++kx) {
      int from[kPixels];
      bool inside[kPixels];
      [[unroll]] for (uint b = 0; b < kPixels; ++b) {
        int tap = tap_pixel(at[b], ky, kx);
        inside[b] = tap >= 0;
        from[b] = max(tap, 0) * int(p.in_c4) + int(first_in4);
      }
      for (uint i = 0; i < group_in4; i += kStep4) {
        [[unroll]] for (uint q = 0; q < kStep4; ++q) {
          vec4 v[kPixels];
          [[unroll]] for (uint b = 0; b < kPixels; ++b) {
            v[b] = imageLoad(x, from[b] + int(i + q));
            v[b] = inside[b] ? v[b] : vec4(0);
          }
          vec4 a0 = imageLoad(weight, w0 + int(i + q));
          vec4 a1 = imageLoad(weight, w1 + int(i + q));
          [[unroll]] for (uint k = 0; k < 4; ++k) {
            vec4 column = vec4(v[0][k], v[1][k], v[2][k], v[3][k]);
            [[unroll]] for (uint o = 0; o < 8; ++o) {
              sum[o] += subgroupShuffle(a0[k], o) * column;
              sum[o + 8] += subgroupShuffle(a1[k], o) * column;
            }
          }
        }
      }
      w0 += int(group_in4);
      w1 += int(group_in4);
    }
  }

  [[unroll]] for (uint b = 0; b < kPixels; ++b) {
    uint pixel = first_pixel + b * lanes + lane;
    if (pixel < p.pixels) {
      [[unroll]] for (uint c = 0; c < kChannels / 4; ++c) {
        uint block = first_channel / 4 + c;
        if (block < p.out_c4) {
          vec4 v = vec4(sum[c * 4][b], sum[c * 4 + 1][b], sum[c * 4 + 2][b], sum[c * 4 + 3][b]);
          uint to = pixel * p.out_c4 + block;
          y[to] = vector_t(apply_epilogue(v, p.epilogue, block, p.out_c, to));
        }
      }
    }
  }
}
