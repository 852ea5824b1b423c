#version 450
// NHWC with padded channels into the host's dense NCHW: one element an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "../data_movement/data_movement_params.h"

PUSH_CONSTANTS(LayoutParams)

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { float y[]; };

void main() {
  uint index = invocation_index();
  uint plane = index / p.pixels;
  uint within = index - plane * p.pixels;
  uint image = plane / p.channels;
  uint c = plane - image * p.channels;
  if (image >= p.images) return;
  y[index] = widen1(x[(image * p.pixels + within) * p.c4 * 4 + c]);
}
