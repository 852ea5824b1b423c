#version 450
// dW += G^T dU G: the filter between one output and four input channels an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "winograd.glsl"

#define ROLLED_CONSTANT 1
#include "../common/rolled.glsl"

layout(binding = 0, rgba32f) readonly uniform imageBuffer du;  // [36][o][in4]
layout(std430, binding = 1) buffer Gradient { vec4 dw[]; };    // [o][tap][in4]

void main() {
  uint index = invocation_index();
  uint in4 = (p.conv.group_in + 3) / 4;
  uint filters = p.conv.out_c * in4;
  if (index >= filters) return;
  vec4 u[36];
  [[unroll]] for (uint e = 0; e < 36; ++e) u[e] = imageLoad(du, int(e * filters + index));
  [[unroll]] for (uint c = 0; c < 6; ++c) {
    WINOGRAD_FILTER_GRADIENT_4(u[c], u[6 + c], u[12 + c], u[18 + c], u[24 + c], u[30 + c])
  }
  vec4 made[9];
  [[unroll]] for (uint r = 0; r < 3; ++r) {
    uint at = r * 6;
    WINOGRAD_FILTER_GRADIENT_4(u[at], u[at + 1], u[at + 2], u[at + 3], u[at + 4], u[at + 5])
    [[unroll]] for (uint c = 0; c < 3; ++c) made[r * 3 + c] = u[at + c];
  }
  uint o = index / in4;
  uint to = o * 9 * in4 + (index - o * in4);
  EACH_STORE(i, 9, dw[to + i * in4] += made[i])
}
