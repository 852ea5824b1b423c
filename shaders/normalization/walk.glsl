// Which vectors of [pixel][c4] an invocation handles: the same kVectors of every pixel of a part,
// kLanes apart, so that kLanes invocations side by side go through whole stretches of memory. A
// lane with one vector a pixel leaves a CPU, whose lanes are few, jumping from pixel to pixel.
// Constants kVectors and kLanes follow WALK_CONSTANT; kLanes * kVectors divides c4 where kVectors
// is not 1.
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"

layout(constant_id = WALK_CONSTANT) const uint kVectors = 1;
layout(constant_id = WALK_CONSTANT + 1) const uint kLanes = 1;

struct Walk {
  uint part;
  uint block;  // Of the first vector.
  uint pixel;
  uint end;
};

Walk walk(uint pixels, uint part_pixels, uint c4) {
  uint invocations = c4 / kVectors;
  uint index = invocation_index();
  uint part = index / invocations;
  uint of_part = index - part * invocations;
  uint group = of_part / kLanes;
  uint pixel = part * part_pixels;
  return Walk(part, group * (kLanes * kVectors) + of_part - group * kLanes, pixel,
              min(pixel + part_pixels, pixels));
}

#define EACH_VECTOR(v) [[unroll]] for (uint v = 0; v < kVectors; ++v)
