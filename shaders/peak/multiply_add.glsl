// What multiply_add_*.comp share, over TYPE: twelve independent chains of z = z * z + c an
// invocation, so many that no unit waits for a result and so few that they stay in registers. At
// the c that is given the chains are chaotic: they neither settle nor grow, and no compiler can
// skip a step, as it could for z = z * a + c.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "../common/grid.glsl"
#include "peak_params.h"

PUSH_CONSTANTS(MultiplyAddParams)

layout(std430, binding = 0) writeonly buffer Output { vec4 result[]; };

void main() {
  // Each invocation, chain and component starts elsewhere, so that none equals another.
  float place = float(invocation_index() & 1023u) / 4096.0;
  TYPE start = TYPE(vec4(place, -place, 0.3 + place, -0.3 - place));
  TYPE c = TYPE(p.c);
  TYPE z[kPeakChains];  // From 0.02 to 1.01 above that.
  [[unroll]] for (uint k = 0; k < kPeakChains; ++k) z[k] = start + TYPE(0.005 * (k * k + 7 * k + 4));
  for (uint i = 0; i < p.steps; i += kPeakUnrolled) {
    [[unroll]] for (uint step = 0; step < kPeakUnrolled; ++step) {
      [[unroll]] for (uint k = 0; k < kPeakChains; ++k) z[k] = z[k] * z[k] + c;
    }
  }
  // Never so large, which no compiler knows: the chains are needed, and no memory is touched.
  TYPE sum = z[0];
  [[unroll]] for (uint k = 1; k < kPeakChains; ++k) sum += z[k];
  if (dot(vec4(sum), vec4(1)) > p.never) result[0] = vec4(sum);
}
