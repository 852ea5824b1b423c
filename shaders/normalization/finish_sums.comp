#version 450
// Adds the parts of normalize_sums up; and, where asked, to the gradients of weight or bias.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "normalization_params.h"

layout(constant_id = 1) const bool kWeightGradient = true;
layout(constant_id = 2) const bool kBiasGradient = true;

PUSH_CONSTANTS(StatisticsParams)

layout(std430, binding = 0) readonly buffer Parts { vec4 parts[]; };
layout(std430, binding = 1) writeonly buffer Sums { vec4 sums[]; };
layout(std430, binding = 2) buffer WeightGradient { vec4 weight_gradient[]; };
layout(std430, binding = 3) buffer BiasGradient { vec4 bias_gradient[]; };

void main() {
  uint block = invocation_index();
  if (block >= p.c4) return;
  vec4 sum = vec4(0), products = vec4(0);
  for (uint part = 0; part < p.parts; ++part) {
    sum += parts[part * p.c4 + block];
    products += parts[(p.parts + part) * p.c4 + block];
  }
  sums[block] = sum;
  sums[p.c4 + block] = products;
  if (kWeightGradient) weight_gradient[block] += products;
  if (kBiasGradient) bias_gradient[block] += sum;
}
