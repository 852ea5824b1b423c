// What the pools share: four channels of one output pixel an invocation.
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "pool_params.h"

layout(push_constant) uniform Push { PoolParams p; };

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

struct Place {
  uint pixel;
  uint block;
  uint image;
  uint row;
  uint column;
};

Place locate(uint index) {
  Place at;
  at.pixel = index / p.c4;
  at.block = index - at.pixel * p.c4;
  uint row = at.pixel / p.out_w;
  at.column = at.pixel - row * p.out_w;
  at.image = row / p.out_h;
  at.row = row - at.image * p.out_h;
  return at;
}

vec4 load(Place at, uint row, uint column) {
  return vec4(x[((at.image * p.in_h + row) * p.in_w + column) * p.c4 + at.block]);
}
