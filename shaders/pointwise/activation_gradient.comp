#version 450
// dy * activation', told from the activation's output or its input (takes_output()).
#extension GL_GOOGLE_include_directive : require
#include "../common/activation_gradient.glsl"
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "pointwise_params.h"

PUSH_CONSTANTS(PointwiseParams)

VECTORS_IN(0, dy);
VECTORS_IN(1, v);
VECTORS_OUT(2, dx);

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  STORE(dx, index, gradient_from_output(LOAD(dy, index), LOAD(v, index)));
}
