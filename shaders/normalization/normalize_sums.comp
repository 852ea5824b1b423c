#version 450
// Sums over some pixels of four channels, of dz and of dz * xhat.
#extension GL_GOOGLE_include_directive : require
#include "normalize.glsl"

PUSH_CONSTANTS(StatisticsParams)

layout(std430, binding = 5) writeonly buffer Parts { vec4 parts[]; };

void main() {
  Walk at = walk(p.pixels, p.part_pixels, p.c4);
  if (at.pixel >= at.end) return;
  Channels c[kVectors];
  vec4 sum[kVectors], products[kVectors];
  EACH_VECTOR(v) {
    c[v] = channels_of(at.block + v * kLanes, p.c4, p.eps);
    sum[v] = products[v] = vec4(0);
  }
  for (uint pixel = at.pixel; pixel < at.end; ++pixel) {
    EACH_VECTOR(v) {
      uint place = pixel * p.c4 + at.block + v * kLanes;
      vec4 xhat = normalized(c[v], place);
      vec4 dz = gradient_of_z(c[v], xhat, place);
      sum[v] += dz;
      products[v] += dz * xhat;
    }
  }
  EACH_VECTOR(v) {
    uint to = (p.first_part + at.part) * p.c4 + at.block + v * kLanes;
    parts[to] = sum[v];
    parts[p.parts * p.c4 + to] = products[v];
  }
}
