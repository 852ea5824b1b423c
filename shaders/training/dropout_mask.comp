#version 450
// Inverted dropout by Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011): which elements are dropped follows from seed, step, stream and place alone. Places are
// counted as in dense [N, C, H, W], of which a counter makes four.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "scalars.glsl"
#include "training_params.h"

PUSH_CONSTANTS(DropoutParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) readonly buffer Scalars { float scalars[]; };
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };

uvec4 philox(uvec4 counter, uvec2 key) {
  for (int i = 0; i < 10; ++i) {
    uint high0, low0, high1, low1;
    umulExtended(0xD2511F53u, counter.x, high0, low0);
    umulExtended(0xCD9E8D57u, counter.z, high1, low1);
    counter = uvec4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
    key += uvec2(0x9E3779B9u, 0xBB67AE85u);
  }
  return counter;
}

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  uint pixels = index / p.c4;  // Of all images.
  uint block = index - pixels * p.c4;
  uint image = pixels / p.pixels;
  uint pixel = pixels - image * p.pixels;
  uvec2 key = uvec2(uint(scalars[kSeed]), 0x5eedu);
  uint step = uint(scalars[kStep]);
  vec4 v = widen(x[index]);
  [[unroll]] for (uint k = 0; k < 4; ++k) {
    uint c = block * 4 + k;
    uint place = ((p.first_image + image) * p.channels + c) * p.pixels + pixel;
    uint word = philox(uvec4(place / 4, step, p.stream, 0), key)[place % 4];
    bool dropped = float(word >> 8) * 5.9604644775390625e-8 < p.probability;
    // Multiplied, not chosen: a NaN stays one though it is dropped, as in PyTorch.
    float kept = v[k] * (dropped ? 0.0 : 1.0) / (1.0 - p.probability);
    v[k] = c >= p.channels ? 0.0 : kept;
  }
  y[index] = narrow(v);
}
