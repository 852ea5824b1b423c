#version 450
// One input of a concatenation: an element an invocation, since inputs may meet within a vector.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "data_movement_params.h"

PUSH_CONSTANTS(ConcatParams)

layout(std430, binding = 0) readonly buffer Input { scalar_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { scalar_t y[]; };

void main() {
  uint index = invocation_index();
  uint pixel = index / p.width;
  uint c = index - pixel * p.width;
  if (pixel >= p.pixels) return;
  float v = 0.0;
  if (c < p.in_c) v = widen1(x[pixel * p.in_c4 * 4 + c]);
  y[pixel * p.out_c4 * 4 + p.first + c] = narrow1(v);
}
