#version 450
// dlogits = loss_scale * (softmax(logits) * sum over classes of target - target).
#extension GL_GOOGLE_include_directive : require
#include "../training/scalars.glsl"
#include "cross_entropy.glsl"

layout(std430, binding = 2) readonly buffer Scalars { float scalars[]; };
layout(std430, binding = 3) writeonly buffer Output { scalar_t dlogits[]; };

void main() {
  uint image = invocation_index();
  if (image >= p.pixels) return;
  uint first = image * p.c4 * 4;
  Row row = read_row(first);
  float scale = scalars[kLossScale];
  for (uint c = 0; c < p.c4 * 4; ++c) {
    float probability = exp_nan(widen1(logits[first + c]) - row.largest) / row.sum;
    float gradient = scale * (probability * row.weight - targets[first + c]);
    dlogits[first + c] = narrow1(c < p.channels ? gradient : 0.0);
  }
}
