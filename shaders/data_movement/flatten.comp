#version 450
// [N, H, W, C] to [N, C * H * W], channels outermost as PyTorch flattens: four features an
// invocation.
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
  uint features = p.channels * p.pixels;
  uint features4 = stored_vectors(features);
  uint image = index / features4;
  uint first = (index - image * features4) * 4;
  if (image >= p.images) return;
  vec4 v = vec4(0);
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    uint feature = first + k;
    uint c = feature / p.pixels;
    uint pixel = feature - c * p.pixels;
    if (feature < features) v[k] = widen1(x[(image * p.pixels + pixel) * p.c4 * 4 + c]);
  }
  y[index] = narrow(v);
}
