#version 450
// Running statistics move towards the batch's.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../training/scalars.glsl"
#include "normalization_params.h"

PUSH_CONSTANTS(UpdateRunningParams)

layout(std430, binding = 0) readonly buffer Statistics { vec4 statistics[]; };
layout(std430, binding = 1) readonly buffer Scalars { float scalars[]; };
layout(std430, binding = 2) buffer Mean { vec4 mean[]; };
layout(std430, binding = 3) buffer Variance { vec4 variance[]; };

void main() {
  uint block = invocation_index();
  if (block >= p.c4) return;
  float share = p.cumulative != 0 ? scalars[kStatisticsShare] : p.momentum;
  vec4 unbiased = statistics[p.c4 + block] * (p.count / (p.count - 1.0));
  mean[block] += share * (statistics[block] - mean[block]);
  variance[block] += share * (unbiased - variance[block]);
}
