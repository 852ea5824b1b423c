#version 450
// y = activation((x - mean) / sqrt(var + eps) * weight + bias + residual).
#extension GL_GOOGLE_include_directive : require
#define EPILOGUE_CONSTANT 1
#define WALK_CONSTANT 2
#include "../common/epilogue.glsl"
#include "../common/vectors.glsl"
#include "normalization_params.h"
#include "walk.glsl"

PUSH_CONSTANTS(NormalizeParams)

VECTORS_IN(0, x);
FLOATS_IN(1, statistics);
FLOATS_IN(2, weight);
FLOATS_IN(3, bias);
VECTORS_IN(4, residual);  // Where there is none, x, and not read.
VECTORS_OUT(5, y);

void main() {
  Walk at = walk(p.pixels, p.part_pixels, p.c4);
  if (at.pixel >= at.end) return;
  vec4 mean[kVectors], scale[kVectors], shift[kVectors];
  EACH_VECTOR(v) {
    uint block = at.block + v * kLanes;
    mean[v] = LOAD(statistics, block);
    scale[v] = LOAD(weight, block) / sqrt(LOAD(statistics, p.c4 + block) + p.eps);
    shift[v] = LOAD(bias, block);
  }
  for (uint pixel = at.pixel; pixel < at.end; ++pixel) {
    EACH_VECTOR(v) {
      uint block = at.block + v * kLanes;
      uint place = pixel * p.c4 + block;
      vec4 value = (LOAD(x, place) - mean[v]) * scale[v] + shift[v];
      if ((p.epilogue & kEpilogueResidual) != 0) value += LOAD(residual, place);
      value = activate(value, p.epilogue & kEpilogueActivationMask);
      STORE(y, place, zero_tail(value, block, p.channels));
    }
  }
}
