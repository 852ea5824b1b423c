#version 450
// dx = weight / sqrt(var + eps) * (dz - (sum(dz) + xhat * sum(dz * xhat)) / count); of running
// statistics, which do not depend on x, the sums are left out.
#extension GL_GOOGLE_include_directive : require
#include "normalize.glsl"

layout(push_constant) uniform Push { NormalizeParams p; };

layout(std430, binding = 5) readonly buffer Sums { vec4 sums[]; };
VECTORS_OUT(6, dx);

void main() {
  uint index = invocation_index();
  uint part = index / p.c4;
  uint block = index - part * p.c4;
  uint pixel = part * p.part_pixels;
  uint end = min(pixel + p.part_pixels, p.pixels);
  if (pixel >= end) return;
  Channels c = channels_of(block, p.c4, p.eps);
  vec4 scale = c.weight * c.inverse;
  vec4 mean_dz = p.frozen == 0 ? sums[block] / p.count : vec4(0);
  vec4 mean_product = p.frozen == 0 ? sums[p.c4 + block] / p.count : vec4(0);
  for (; pixel < end; ++pixel) {
    uint at = pixel * p.c4 + block;
    vec4 xhat = normalized(c, at);
    vec4 dz = gradient_of_z(c, xhat, at);
    STORE(dx, at, (dz - mean_dz - xhat * mean_product) * scale);
  }
}
