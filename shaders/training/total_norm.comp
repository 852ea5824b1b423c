#version 450
// The sum over all parameters, and zeros past the last.
#extension GL_GOOGLE_include_directive : require
#include "../common/channels.h"
#include "../common/grid.glsl"
#include "training_params.h"

PUSH_CONSTANTS(GradientNormsParams)

layout(std430, binding = 0) buffer Norms { float norms[]; };

void main() {
  if (invocation_index() > 0) return;
  float sum = 0.0;
  for (uint i = 1; i <= p.parameters; ++i) sum += norms[i];
  norms[0] = sum;
  for (uint i = p.parameters + 1; i < stored_vectors(p.parameters + 1) * 4; ++i) norms[i] = 0.0;
}
