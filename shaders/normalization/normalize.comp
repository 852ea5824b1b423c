#version 450
// y = activation((x - mean) / sqrt(var + eps) * weight + bias + residual).
#extension GL_GOOGLE_include_directive : require
#define EPILOGUE_CONSTANT 1
#include "../common/epilogue.glsl"
#include "../common/grid.glsl"
#include "../common/vectors.glsl"
#include "normalization_params.h"

layout(push_constant) uniform Push { NormalizeParams p; };

VECTORS_IN(0, x);
layout(std430, binding = 1) readonly buffer Statistics { vec4 statistics[]; };
layout(std430, binding = 2) readonly buffer Weight { vec4 weight[]; };
layout(std430, binding = 3) readonly buffer Bias { vec4 bias[]; };
VECTORS_IN(4, residual);  // Where there is none, x, and not read.
VECTORS_OUT(5, y);

void main() {
  uint index = invocation_index();
  uint part = index / p.c4;
  uint block = index - part * p.c4;
  uint pixel = part * p.part_pixels;
  uint end = min(pixel + p.part_pixels, p.pixels);
  if (pixel >= end) return;
  vec4 mean = statistics[block];
  vec4 scale = weight[block] / sqrt(statistics[p.c4 + block] + p.eps);
  vec4 shift = bias[block];
  for (; pixel < end; ++pixel) {
    uint at = pixel * p.c4 + block;
    vec4 v = (LOAD(x, at) - mean) * scale + shift;
    if ((p.epilogue & kEpilogueResidual) != 0) v += LOAD(residual, at);
    v = activate(v, p.epilogue & kEpilogueActivationMask);
    STORE(y, at, zero_tail(v, block, p.channels));
  }
}
