// What cross-entropy and its gradient share: the channels of one image an invocation. The largest
// logit is taken off first, so that no exponential overflows. Targets are floats in any precision.
#include "../common/grid.glsl"
#include "../common/nan.glsl"
#include "../common/storage.glsl"
#include "softmax_params.h"

PUSH_CONSTANTS(SoftmaxParams)

layout(std430, binding = 0) readonly buffer Logits { scalar_t logits[]; };
layout(std430, binding = 1) readonly buffer Targets { float targets[]; };

struct Row {
  float largest;  // A NaN where any logit is one.
  float sum;      // All exp(logit - largest) together.
  float weight;   // All targets together.
};

Row read_row(uint first) {
  Row row = Row(widen1(logits[first]), 0.0, 0.0);
  for (uint c = 0; c < p.channels; ++c) {
    row.largest = max_nan(row.largest, widen1(logits[first + c]));
    row.weight += targets[first + c];
  }
  for (uint c = 0; c < p.channels; ++c) {
    row.sum += exp_nan(widen1(logits[first + c]) - row.largest);
  }
  return row;
}
