// What the pools share: four channels of one output pixel an invocation.
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "place.glsl"
#include "pool_params.h"

layout(push_constant) uniform Push { PoolParams p; };

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) writeonly buffer Output { vector_t y[]; };

Place locate(uint index) { return locate(index, p.c4, p.out_h, p.out_w); }

vec4 load(Place at, uint row, uint column) {
  return vec4(x[((at.image * p.in_h + row) * p.in_w + column) * p.c4 + at.block]);
}
