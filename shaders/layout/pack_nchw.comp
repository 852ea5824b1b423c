#version 450
// The host's dense NCHW into NHWC with channels padded to four by zeros: four channels of one
// pixel an invocation.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "../data_movement/data_movement_params.h"

PUSH_CONSTANTS(LayoutParams)

layout(std430, binding = 0) readonly buffer Input { float x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  uint pixel = index / p.c4;
  uint block = index - pixel * p.c4;
  uint image = pixel / p.pixels;
  if (image >= p.images) return;
  uint within = pixel - image * p.pixels;
  vec4 v = vec4(0);
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    uint c = block * 4 + k;
    if (c < p.channels) v[k] = x[(image * p.channels + c) * p.pixels + within];
  }
  y[index] = narrow(v);
}
