#version 450
// Sums over some pixels of four channels, of dz and of dz * xhat.
#extension GL_GOOGLE_include_directive : require
#include "normalize.glsl"

layout(push_constant) uniform Push { StatisticsParams p; };

layout(std430, binding = 5) writeonly buffer Parts { vec4 parts[]; };

void main() {
  uint index = invocation_index();
  uint part = index / p.c4;
  uint block = index - part * p.c4;
  uint pixel = part * p.part_pixels;
  if (pixel >= p.pixels) return;
  uint end = min(pixel + p.part_pixels, p.pixels);
  Channels c = channels_of(block, p.c4, p.eps);
  vec4 sum = vec4(0), products = vec4(0);
  for (; pixel < end; ++pixel) {
    uint at = pixel * p.c4 + block;
    vec4 xhat = normalized(c, at);
    vec4 dz = gradient_of_z(c, xhat, at);
    sum += dz;
    products += dz * xhat;
  }
  uint to = (p.first_part + part) * p.c4 + block;
  parts[to] = sum;
  parts[p.parts * p.c4 + to] = products;
}
