#version 450
// The sum over an image's pixels: four channels an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "reduction_params.h"

PUSH_CONSTANTS(SumPixelsParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

void main() {
  uint index = invocation_index();
  uint image = index / p.c4;
  uint block = index - image * p.c4;
  if (image >= p.images) return;
  vec4 sum = vec4(0);
  for (uint pixel = 0; pixel < p.pixels; ++pixel) {
    sum += widen(x[(image * p.pixels + pixel) * p.c4 + block]);
  }
  y[index] = narrow(sum);
}
