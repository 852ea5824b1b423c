// What the pools share: four channels of one output pixel an invocation.
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "place.glsl"
#include "pool_params.h"

PUSH_CONSTANTS(PoolParams)

VECTORS_IN(0, x);
VECTORS_OUT(1, y);

Place locate(uint index) { return locate(index, p.c4, p.out_h, p.out_w); }

vec4 load(Place at, uint row, uint column) {
  return LOAD(x, ((at.image * p.in_h + row) * p.in_w + column) * p.c4 + at.block);
}
