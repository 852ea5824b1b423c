#version 450
// A weight that training changes, in the layout that a kernel reads: a vector of four an
// invocation. What graph/pack_weights.cpp does on the host for those that stay the same.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "weight_source.glsl"

layout(std430, binding = 1) writeonly buffer Packed { vector_t packed[]; };

void main() {
  uint index = invocation_index();
  uint taps = p.kernel_h * p.kernel_w;
  uint in4 = (p.inputs + 3) / 4;
  uint out4 = (p.outputs + 3) / 4;
  uint o, i, tap;
  uvec2 step = uvec2(0, 1);  // Of (o, i), from one element of the vector to the next.
  switch (p.weight_layout) {
    case 1:  // kOhwi: [O4 * 4][tap][I4]
      i = index % in4 * 4;
      tap = index / in4 % taps;
      o = index / (in4 * taps);
      if (o >= out4 * 4) return;
      break;
    case 2:  // kPanels: [O8][tap][I4][8]
      o = index % 8;
      i = index / 8 % in4 * 4;
      tap = index / (8 * in4) % taps;
      o += index / (8 * in4 * taps) * 8;
      if (o >= (p.outputs + 7) / 8 * 8) return;
      break;
    case 3:  // kHwio: [tap][I4 * 4][O4]
      o = index % out4 * 4;
      i = index / out4 % (in4 * 4);
      tap = index / (out4 * in4 * 4);
      step = uvec2(1, 0);
      if (tap >= taps) return;
      break;
    default:  // kTapsFirst: [tap][C4]
      o = index % out4 * 4;
      i = 0;
      tap = index / out4;
      step = uvec2(1, 0);
      if (tap >= taps) return;
  }
  vec4 v;
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    v[k] = weight_at(o + k * step.x, i + k * step.y, tap / p.kernel_w, tap % p.kernel_w);
  }
  packed[index] = vector_t(v);
}
