#version 450
// Mean and biased variance of four channels, from the parts of batch_statistics.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/nan.glsl"
#include "../common/storage.glsl"
#include "normalization_params.h"

PUSH_CONSTANTS(StatisticsParams)

layout(std430, binding = 0) readonly buffer Parts { vec4 parts[]; };
layout(std430, binding = 1) readonly buffer Pivot { vector_t pivot[]; };
layout(std430, binding = 2) writeonly buffer Statistics { vec4 statistics[]; };

void main() {
  uint block = invocation_index();
  if (block >= p.c4) return;
  vec4 sum = vec4(0), squares = vec4(0);
  for (uint part = 0; part < p.parts; ++part) {
    sum += parts[part * p.c4 + block];
    squares += parts[(p.parts + part) * p.c4 + block];
  }
  vec4 shift = sum / p.count;
  statistics[block] = widen(pivot[block]) + shift;
  vec4 variance = squares / p.count - shift * shift;
  statistics[p.c4 + block] = max_nan(variance, vec4(0));
}
