#version 450
// dx = y * (dy - sum over channels of dy * y): the channels of one pixel an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "softmax_params.h"

PUSH_CONSTANTS(SoftmaxParams)

layout(std430, binding = 0) readonly buffer Gradient { vector_t dy[]; };
layout(std430, binding = 1) readonly buffer Softmax { vector_t y[]; };
layout(std430, binding = 2) writeonly buffer Output { vector_t dx[]; };

void main() {
  uint pixel = invocation_index();
  if (pixel >= p.pixels) return;
  uint first = pixel * p.c4;
  float sum = 0.0;
  for (uint b = 0; b < p.c4; ++b) sum += dot(widen(dy[first + b]), widen(y[first + b]));
  for (uint b = 0; b < p.c4; ++b) {
    dx[first + b] = narrow(widen(y[first + b]) * (widen(dy[first + b]) - sum));
  }
}
