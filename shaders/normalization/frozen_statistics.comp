#version 450
// Running statistics as statistics.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "normalization_params.h"

PUSH_CONSTANTS(StatisticsParams)

layout(std430, binding = 0) readonly buffer Mean { vec4 mean[]; };
layout(std430, binding = 1) readonly buffer Variance { vec4 variance[]; };
layout(std430, binding = 2) writeonly buffer Statistics { vec4 statistics[]; };

void main() {
  uint block = invocation_index();
  if (block >= p.c4) return;
  statistics[block] = mean[block];
  statistics[p.c4 + block] = variance[block];
}
