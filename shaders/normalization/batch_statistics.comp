#version 450
// Sums over some pixels of four channels, of d = x - pivot and of d * d. The pivot is a value of
// the channel: taken off first, a mean far from zero costs no digits of the variance.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "normalization_params.h"

layout(push_constant) uniform Push { StatisticsParams p; };

VECTORS_IN(0, x);
VECTORS_IN(1, pivot);
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };

void main() {
  uint index = invocation_index();
  uint part = index / p.c4;
  uint block = index - part * p.c4;
  uint pixel = part * p.part_pixels;
  if (pixel >= p.pixels) return;
  uint end = min(pixel + p.part_pixels, p.pixels);
  vec4 k = LOAD(pivot, block);
  vec4 sum = vec4(0), squares = vec4(0);
  for (; pixel < end; ++pixel) {
    vec4 d = LOAD(x, pixel * p.c4 + block) - k;
    sum += d;
    squares += d * d;
  }
  uint to = (p.first_part + part) * p.c4 + block;
  parts[to] = sum;
  parts[p.parts * p.c4 + to] = squares;
}
