#version 450
// Adds parts up and to what is there. The order is the same on every run, and so are the bits.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "reduction_params.h"

PUSH_CONSTANTS(AddPartsParams)

layout(std430, binding = 0) readonly buffer Parts { vec4 parts[]; };
layout(std430, binding = 1) buffer Sum { vec4 sum[]; };

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  vec4 v = vec4(0);
  for (uint part = 0; part < p.parts; ++part) v += parts[part * p.vectors + index];
  sum[index] += v;
}
