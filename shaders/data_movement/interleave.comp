#version 450
// One phase of an image, to where its pixels stand among those of the others: four channels of one
// pixel an invocation.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "data_movement_params.h"

PUSH_CONSTANTS(InterleaveParams)

VECTORS_IN(0, x);
VECTORS_OUT(1, y);

void main() {
  uint index = invocation_index();
  uint pixel = index / p.c4;
  uint block = index - pixel * p.c4;
  if (pixel >= p.pixels) return;
  uint line = pixel / p.columns;
  uint column = pixel - line * p.columns;
  uint image = line / p.rows;
  uint row = line - image * p.rows;
  uint from = (image * p.in_h + row + p.from_h) * p.in_w + column + p.from_w;
  uint to = (image * p.out_h + row * p.stride_h + p.at_h) * p.out_w + column * p.stride_w + p.at_w;
  STORE(y, to * p.c4 + block, LOAD(x, from * p.c4 + block));
}
