#version 450
// Sums over some pixels of four channels: parts, which add_parts adds up.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "reduction_params.h"

PUSH_CONSTANTS(SumPartsParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) writeonly buffer Parts { vec4 parts[]; };

void main() {
  uint index = invocation_index();
  uint part = index / p.c4;
  uint block = index - part * p.c4;
  uint pixel = part * p.part_pixels;
  if (pixel >= p.pixels) return;
  uint end = min(pixel + p.part_pixels, p.pixels);
  vec4 sum = vec4(0);
  for (; pixel < end; ++pixel) sum += widen(x[pixel * p.c4 + block]);
  parts[(p.first_part + part) * p.c4 + block] = sum;
}
