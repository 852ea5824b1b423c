#version 450
// Over the channels of one pixel an invocation; the largest is taken off first, so that no
// exponential overflows. Where one is a NaN, all become one.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/nan.glsl"
#include "../common/storage.glsl"
#include "softmax_params.h"

PUSH_CONSTANTS(SoftmaxParams)

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { scalar_t y[]; };

void main() {
  uint pixel = invocation_index();
  if (pixel >= p.pixels) return;
  uint first = pixel * p.c4 * 4;
  float largest = widen1(x[first]);
  for (uint c = 1; c < p.channels; ++c) largest = max_nan(largest, widen1(x[first + c]));
  float sum = 0.0;
  for (uint c = 0; c < p.channels; ++c) sum += exp_nan(widen1(x[first + c]) - largest);
  for (uint c = 0; c < p.c4 * 4; ++c) {
    float v = exp_nan(widen1(x[first + c]) - largest) / sum;
    y[first + c] = narrow1(c < p.channels ? v : 0.0);
  }
}
