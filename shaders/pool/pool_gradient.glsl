// What the gradients of pools share: four channels of one input pixel an invocation, which asks
// each window that holds the pixel.
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "place.glsl"
#include "pool_params.h"

// Of the forward pool, but `pixels`, which are the input's.
PUSH_CONSTANTS(PoolParams)

VECTORS_IN(0, dy);

Place locate(uint index) { return locate(index, p.c4, p.in_h, p.in_w); }

vec4 gradient(Place at, uint row, uint column) {
  return LOAD(dy, ((at.image * p.out_h + row) * p.out_w + column) * p.c4 + at.block);
}

// The windows along one side whose tap `k` is at `place`: one or none, then past the end.
uint window(uint place, uint k, uint pad, uint dilation, uint stride, uint end) {
  uint start = place + pad - k * dilation;  // Wraps where no window begins so early.
  return start % stride == 0 && start / stride < end ? start / stride : end;
}
