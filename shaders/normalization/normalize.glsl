// What the gradients of normalisation share: dz = dy * activation'(z), with z = xhat * weight +
// bias, which is made again of x.
#define WALK_CONSTANT 2
#include "../common/activation_gradient.glsl"
#include "../common/vectors.glsl"
#include "normalization_params.h"
#include "walk.glsl"

VECTORS_IN(0, dy);
VECTORS_IN(1, x);
FLOATS_IN(2, statistics);
FLOATS_IN(3, weight);
FLOATS_IN(4, bias);

struct Channels {
  vec4 mean;
  vec4 inverse;  // 1 / sqrt(var + eps)
  vec4 weight;
  vec4 bias;
};

Channels channels_of(uint block, uint c4, float eps) {
  return Channels(LOAD(statistics, block), 1.0 / sqrt(LOAD(statistics, c4 + block) + eps),
                  LOAD(weight, block), LOAD(bias, block));
}

vec4 normalized(Channels c, uint index) { return (LOAD(x, index) - c.mean) * c.inverse; }

vec4 gradient_of_z(Channels c, vec4 xhat, uint index) {
  return gradient_at(LOAD(dy, index), xhat * c.weight + c.bias);
}
