#version 450
// Sixteen bytes an invocation, read and written.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "peak_params.h"

PUSH_CONSTANTS(CopyParams)

layout(std430, binding = 0) readonly buffer Input { vec4 x[]; };
layout(std430, binding = 1) writeonly buffer Output { vec4 y[]; };

void main() {
  uint index = invocation_index();
  if (index < p.vectors) y[index] = x[index];
}
