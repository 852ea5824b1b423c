#version 450
// dx = weight / sqrt(var + eps) * (dz - (sum(dz) + xhat * sum(dz * xhat)) / count); of running
// statistics, which do not depend on x, the sums are left out.
#extension GL_GOOGLE_include_directive : require
#include "normalize.glsl"

PUSH_CONSTANTS(NormalizeParams)

FLOATS_IN(5, sums);
VECTORS_OUT(6, dx);

void main() {
  Walk at = walk(p.pixels, p.part_pixels, p.c4);
  if (at.pixel >= at.end) return;
  Channels c[kVectors];
  vec4 scale[kVectors], mean_dz[kVectors], mean_product[kVectors];
  EACH_VECTOR(v) {
    uint block = at.block + v * kLanes;
    c[v] = channels_of(block, p.c4, p.eps);
    scale[v] = c[v].weight * c[v].inverse;
    mean_dz[v] = p.frozen == 0 ? LOAD(sums, block) / p.count : vec4(0);
    mean_product[v] = p.frozen == 0 ? LOAD(sums, p.c4 + block) / p.count : vec4(0);
  }
  for (uint pixel = at.pixel; pixel < at.end; ++pixel) {
    EACH_VECTOR(v) {
      uint place = pixel * p.c4 + at.block + v * kLanes;
      vec4 xhat = normalized(c[v], place);
      vec4 dz = gradient_of_z(c[v], xhat, place);
      STORE(dx, place, (dz - mean_dz[v] - xhat * mean_product[v]) * scale[v]);
    }
  }
}
