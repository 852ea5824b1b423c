#version 450
// The sum of squares of a piece of the gradients an invocation: each piece is of one parameter.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "scalars.glsl"
#include "training_params.h"

const uint kPieceVectors = 256;  // kStatePieceBytes.

PUSH_CONSTANTS(PieceNormsParams)

layout(std430, binding = 0) readonly buffer Gradients { vec4 gradients[]; };
layout(std430, binding = 1) readonly buffer Scalars { float scalars[]; };
layout(std430, binding = 2) writeonly buffer Pieces { float pieces[]; };

void main() {
  uint piece = invocation_index();
  if (piece >= p.pieces) return;
  float unscale = 1.0 / scalars[kLossScale];
  float sum = 0.0;
  uint first = piece * kPieceVectors;
  uint end = min(first + kPieceVectors, uint(gradients.length()));
  for (uint i = first; i < end; ++i) {
    vec4 g = gradients[i] * unscale;
    sum += dot(g, g);
  }
  pieces[p.first_piece + piece] = sum;
}
