#version 450
// [N, C * H * W] to [N, H, W, C], flatten undone: four channels of one pixel an invocation.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/channels.h"
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "data_movement_params.h"

PUSH_CONSTANTS(LayoutParams)

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  uint pixels = index / p.c4;  // Of all images.
  uint block = index - pixels * p.c4;
  uint image = pixels / p.pixels;
  uint pixel = pixels - image * p.pixels;
  if (image >= p.images) return;
  uint features4 = stored_vectors(p.channels * p.pixels);
  vec4 v = vec4(0);
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    uint c = block * 4 + k;
    if (c < p.channels) v[k] = widen1(x[image * features4 * 4 + c * p.pixels + pixel]);
  }
  y[index] = narrow(v);
}
