#version 450
// y = activation((x - mean) / sqrt(var + eps) * weight + bias + residual): four channels of one
// pixel an invocation. The bias here is batch-norm's own.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "../common/storage.glsl"
#include "batch_norm_params.h"

PUSH_CONSTANTS(BatchNormParams)

layout(std430, binding = 0) readonly buffer Input { vector_t x[]; };
layout(std430, binding = 1) readonly buffer Weight { vec4 weight[]; };
layout(std430, binding = 2) writeonly buffer Output { vector_t y[]; };
layout(std430, binding = 5) readonly buffer Mean { vec4 mean[]; };
layout(std430, binding = 6) readonly buffer Variance { vec4 variance[]; };

#define EPILOGUE_BINDINGS 3
#include "../common/epilogue.glsl"

void main() {
  uint index = invocation_index();
  if (index >= p.vectors) return;
  uint block = index % p.c4;
  vec4 scale = weight[block] / sqrt(variance[block] + p.eps);
  vec4 v = (widen(x[index]) - mean[block]) * scale;
  y[index] = narrow(apply_epilogue(v, p.epilogue, block, p.channels, index));
}
