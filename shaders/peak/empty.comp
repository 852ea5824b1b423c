#version 450
// Does nothing, but binds a buffer that it might write: so it waits for the dispatch before it, as
// the layers of a network do.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "peak_params.h"

PUSH_CONSTANTS(CopyParams)

layout(std430, binding = 0) writeonly buffer Output { vec4 y[]; };

void main() {
  if (p.vectors > 0) y[0] = vec4(0);
}
