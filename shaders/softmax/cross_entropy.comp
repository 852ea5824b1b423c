#version 450
// loss = -sum over classes of target * log_softmax(logits), or its gradient: one image an
// invocation. The largest logit is taken off first, so that no exponential overflows.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../training/scalars.glsl"
#include "softmax_params.h"

layout(constant_id = 1) const bool kGradient = false;

layout(push_constant) uniform Push { SoftmaxParams p; };

layout(std430, binding = 0) readonly buffer Logits { float logits[]; };
layout(std430, binding = 1) readonly buffer Targets { float targets[]; };
layout(std430, binding = 2) readonly buffer Scalars { float scalars[]; };
layout(std430, binding = 3) writeonly buffer Result { float result[]; };

void main() {
  uint image = invocation_index();
  if (image >= p.pixels) return;
  uint first = image * p.c4 * 4;
  float largest = logits[first];
  float sum = 0.0;  // From the start a NaN where any logit is one.
  float weight = 0.0;
  for (uint c = 0; c < p.channels; ++c) {
    float v = logits[first + c];
    largest = max(largest, v);
    if (isnan(v)) sum = v;
    weight += targets[first + c];
  }
  for (uint c = 0; c < p.channels; ++c) sum += exp(logits[first + c] - largest);
  if (kGradient) {
    float scale = scalars[kLossScale];
    for (uint c = 0; c < p.channels; ++c) {
      float probability = exp(logits[first + c] - largest) / sum;
      result[first + c] = scale * (probability * weight - targets[first + c]);
    }
    for (uint c = p.channels; c < p.c4 * 4; ++c) result[first + c] = 0.0;
  } else {
    float loss = 0.0;
    float shift = largest + log(sum);
    for (uint c = 0; c < p.channels; ++c) {
      float target = targets[first + c];
      // A class without a share has no say, be its logit infinite.
      if (target != 0.0) loss += target * (shift - logits[first + c]);
    }
    result[image * 4] = loss;
    for (uint k = 1; k < 4; ++k) result[image * 4 + k] = 0.0;
  }
}
