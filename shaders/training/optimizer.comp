#version 450
// One step of SGD, Adam or AdamW for four numbers an invocation, over all parameters laid end to
// end; the gradient is set to zero after it. As PyTorch's optimizers compute it.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "scalars.glsl"
#include "training_params.h"

layout(constant_id = 1) const uint kKind = 0;  // OptimizerKind: SGD, Adam, AdamW.
layout(constant_id = 2) const bool kMoment = true;  // SGD has a momentum buffer.
layout(constant_id = 3) const bool kAverage = false;

PUSH_CONSTANTS(OptimizerParams)

layout(std430, binding = 0) buffer Parameters { vec4 parameters[]; };
layout(std430, binding = 1) buffer Gradients { vec4 gradients[]; };
layout(std430, binding = 2) buffer Moments1 { vec4 moments1[]; };
layout(std430, binding = 3) buffer Moments2 { vec4 moments2[]; };
layout(std430, binding = 4) buffer Averages { vec4 averages[]; };
layout(std430, binding = 5) readonly buffer Norms { float norms[]; };
layout(std430, binding = 6) readonly buffer Scalars { float scalars[]; };

vec4 sgd(vec4 w, vec4 g, uint index) {
  g += p.weight_decay * w;
  if (kMoment) {
    vec4 v = p.momentum * moments1[index] + g;
    moments1[index] = v;
    g = p.nesterov != 0 ? g + p.momentum * v : v;
  }
  return w - scalars[kLearningRate] * g;
}

vec4 adam(vec4 w, vec4 g, uint index, bool decoupled) {
  float rate = scalars[kLearningRate];
  if (decoupled) {
    w *= 1.0 - rate * p.weight_decay;
  } else {
    g += p.weight_decay * w;
  }
  vec4 m = p.beta1 * moments1[index] + (1.0 - p.beta1) * g;
  vec4 v = p.beta2 * moments2[index] + (1.0 - p.beta2) * g * g;
  moments1[index] = m;
  moments2[index] = v;
  vec4 denominator = sqrt(v) / sqrt(scalars[kBiasCorrection2]) + p.eps;
  return w - rate / scalars[kBiasCorrection1] * (m / denominator);
}

void main() {
  uint index = invocation_index();
  if (index >= p.vectors || scalars[kApply] == 0.0) return;
  float norm = sqrt(norms[0]);
  vec4 g = gradients[index] / scalars[kLossScale];
  gradients[index] = vec4(0);
  // By its bits: a driver may take it that no number is NaN or infinite.
  if ((floatBitsToUint(norms[0]) & 0x7f800000u) == 0x7f800000u) return;
  if (p.max_norm > 0.0) g *= min(1.0, p.max_norm / (norm + 1e-6));
  vec4 w = parameters[index];
  w = kKind == 0 ? sgd(w, g, index) : adam(w, g, index, kKind == 2);
  parameters[index] = w;
  if (kAverage) averages[index] = p.ema_decay * averages[index] + (1.0 - p.ema_decay) * w;
}
