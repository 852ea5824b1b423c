#version 450
// Sums over some pixels of four channels, of d = x - pivot and of d * d. The pivot is a value of
// the channel: taken off first, a mean far from zero costs no digits of the variance.
#extension GL_GOOGLE_include_directive : require
#define WALK_CONSTANT 1
#include "../common/vectors.glsl"
#include "normalization_params.h"
#include "walk.glsl"

PUSH_CONSTANTS(StatisticsParams)

VECTORS_IN(0, x);
VECTORS_IN(1, pivot);
layout(std430, binding = 2) writeonly buffer Parts { vec4 parts[]; };

void main() {
  Walk at = walk(p.pixels, p.part_pixels, p.c4);
  if (at.pixel >= at.end) return;
  vec4 k[kVectors], sum[kVectors], squares[kVectors];
  EACH_VECTOR(v) {
    k[v] = LOAD(pivot, at.block + v * kLanes);
    sum[v] = squares[v] = vec4(0);
  }
  for (uint pixel = at.pixel; pixel < at.end; ++pixel) {
    EACH_VECTOR(v) {
      vec4 d = LOAD(x, pixel * p.c4 + at.block + v * kLanes) - k[v];
      sum[v] += d;
      squares[v] += d * d;
    }
  }
  EACH_VECTOR(v) {
    uint to = (p.first_part + at.part) * p.c4 + at.block + v * kLanes;
    parts[to] = sum[v];
    parts[p.parts * p.c4 + to] = squares[v];
  }
}
