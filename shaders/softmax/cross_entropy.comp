#version 450
// loss = -sum over classes of target * log_softmax(logits).
#extension GL_GOOGLE_include_directive : require
#include "cross_entropy.glsl"

layout(std430, binding = 2) writeonly buffer Loss { vec4 loss[]; };

void main() {
  uint image = invocation_index();
  if (image >= p.pixels) return;
  uint first = image * p.c4 * 4;
  Row row = read_row(first);
  float shift = row.largest + log_nan(row.sum);
  float sum = 0.0;
  for (uint c = 0; c < p.channels; ++c) {
    float target = targets[first + c];
    // A class without a share has no say, be its logit infinite.
    if (target != 0.0 || is_nan(target)) sum += target * (shift - widen1(logits[first + c]));
  }
  loss[image] = vec4(sum, 0, 0, 0);
}
