// What the gradients of pools share: four channels of one input pixel an invocation, which asks each
// window that holds the pixel.
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "pool_params.h"

// Of the forward pool, but `pixels`, which are the input's.
layout(push_constant) uniform Push { PoolParams p; };

layout(std430, binding = 0) readonly buffer Gradient { vector_t dy[]; };

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
  uint row = at.pixel / p.in_w;
  at.column = at.pixel - row * p.in_w;
  at.image = row / p.in_h;
  at.row = row - at.image * p.in_h;
  return at;
}

vec4 gradient(Place at, uint row, uint column) {
  return vec4(dy[((at.image * p.out_h + row) * p.out_w + column) * p.c4 + at.block]);
}

// The windows along one side whose tap `k` is at `place`: one or none, then past the end.
uint window(uint place, uint k, uint pad, uint dilation, uint stride, uint end) {
  uint start = place + pad - k * dilation;  // Wraps where no window begins so early.
  return start % stride == 0 && start / stride < end ? start / stride : end;
}
