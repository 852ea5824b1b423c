#version 450
// Adds pieces up, a parameter an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "training_params.h"

PUSH_CONSTANTS(GradientNormsParams)

layout(std430, binding = 0) readonly buffer Pieces { float pieces[]; };
// First piece and end, by parameter.
layout(std430, binding = 1) readonly buffer Ranges { uvec2 ranges[]; };
layout(std430, binding = 2) writeonly buffer Norms { float norms[]; };   // [1 + parameter]

void main() {
  uint parameter = invocation_index();
  if (parameter >= p.parameters) return;
  float sum = 0.0;
  for (uint i = ranges[parameter].x; i < ranges[parameter].y; ++i) sum += pieces[i];
  norms[1 + parameter] = sum;
}
