#version 450
// Over the channels of one pixel an invocation; the largest is taken off first, so that no
// exponential overflows.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "softmax_params.h"

layout(push_constant) uniform Push { SoftmaxParams p; };

layout(std430, binding = 0) readonly buffer Input { float x[]; };
layout(std430, binding = 1) writeonly buffer Output { float y[]; };

void main() {
  uint pixel = invocation_index();
  if (pixel >= p.pixels) return;
  uint first = pixel * p.c4 * 4;
  float largest = x[first];
  float sum = 0.0;  // From the start a NaN where any input is one, whatever exp() makes of it.
  for (uint c = 0; c < p.channels; ++c) {
    float v = x[first + c];
    largest = max(largest, v);
    if (isnan(v)) sum = v;
  }
  for (uint c = 0; c < p.channels; ++c) sum += exp(x[first + c] - largest);
  for (uint c = 0; c < p.channels; ++c) y[first + c] = exp(x[first + c] - largest) / sum;
  for (uint c = p.channels; c < p.c4 * 4; ++c) y[first + c] = 0.0;
}
