#version 450
// Images of bytes, four a pixel, into normalised NHWC with padded channels: four channels of one
// pixel an invocation. What each byte becomes is looked up, so that the device gives the host's bits.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "../data_movement/data_movement_params.h"

PUSH_CONSTANTS(PixelParams)

struct Mix {
  float weight;  // The image's own share; the rest is its partner's.
  uint partner;
};

layout(std430, binding = 0) readonly buffer Mixes { Mix mixes[]; };
layout(std430, binding = 1) readonly buffer Input { uint x[]; };  // [N][pixel]: R, G, B, no blank
layout(std430, binding = 2) readonly buffer Numbers { float numbers[]; };  // [channel][byte]
layout(std430, binding = 3) writeonly buffer Output { vector_t y[]; };

vec4 load(uint image, uint within) {
  uint bytes = x[image * p.pixels + within];
  vec4 v = vec4(numbers[bytes & 255u], numbers[256u + (bytes >> 8 & 255u)],
                numbers[512u + (bytes >> 16 & 255u)], 0);
  return bytes >> 24 == 0u ? vec4(0) : v;
}

void main() {
  uint index = invocation_index();
  uint pixel = index / p.c4;
  uint block = index - pixel * p.c4;
  uint image = pixel / p.pixels;
  if (image >= p.images) return;
  uint within = pixel - image * p.pixels;
  vec4 v = vec4(0);
  if (block == 0) {
    v = load(p.first + image, within);
    Mix mixed = mixes[p.first + image];
    if (floatBitsToUint(mixed.weight) != floatBitsToUint(1.0)) {
      // Rounded as the host rounds.
      precise vec4 own = mixed.weight * v;
      precise vec4 other = (1 - mixed.weight) * load(mixed.partner, within);
      precise vec4 both = own + other;
      v = both;
    }
  }
  y[index] = narrow(v);
}
