// What multiply_add_*.comp share, over TYPE: twelve independent chains of z = z * z + c an
// invocation, so many that no unit waits for a result and so few that they stay in registers. At
// the c that is given the chains are chaotic: they neither settle nor grow, and no compiler can
// skip a step, as it could for z = z * a + c.
#extension GL_GOOGLE_include_directive : require
#include "../common/grid.glsl"
#include "peak_params.h"

layout(push_constant) uniform Push { MultiplyAddParams p; };

layout(std430, binding = 0) writeonly buffer Output { vec4 result[]; };

struct Chains {
  TYPE z0, z1, z2, z3, z4, z5, z6, z7, z8, z9, z10, z11;
};

Chains advance(Chains z, TYPE c) {
  z.z0 = z.z0 * z.z0 + c;
  z.z1 = z.z1 * z.z1 + c;
  z.z2 = z.z2 * z.z2 + c;
  z.z3 = z.z3 * z.z3 + c;
  z.z4 = z.z4 * z.z4 + c;
  z.z5 = z.z5 * z.z5 + c;
  z.z6 = z.z6 * z.z6 + c;
  z.z7 = z.z7 * z.z7 + c;
  z.z8 = z.z8 * z.z8 + c;
  z.z9 = z.z9 * z.z9 + c;
  z.z10 = z.z10 * z.z10 + c;
  z.z11 = z.z11 * z.z11 + c;
  return z;
}

void main() {
  // Each invocation, chain and component starts elsewhere, so that none equals another.
  float place = float(invocation_index() & 1023u) / 4096.0;
  TYPE z = TYPE(vec4(place, -place, 0.3 + place, -0.3 - place));
  TYPE c = TYPE(p.c);
  Chains chains = Chains(z + TYPE(0.02), z + TYPE(0.06), z + TYPE(0.11), z + TYPE(0.17),
                         z + TYPE(0.24), z + TYPE(0.32), z + TYPE(0.41), z + TYPE(0.51),
                         z + TYPE(0.62), z + TYPE(0.74), z + TYPE(0.87), z + TYPE(1.01));
  for (uint i = 0; i < p.steps; i += kPeakUnrolled) {
    chains = advance(chains, c);
    chains = advance(chains, c);
    chains = advance(chains, c);
    chains = advance(chains, c);
    chains = advance(chains, c);
    chains = advance(chains, c);
    chains = advance(chains, c);
    chains = advance(chains, c);
  }
  // Never so large, which no compiler knows: the chains are needed, and no memory is touched.
  vec4 sum = vec4(chains.z0 + chains.z1 + chains.z2 + chains.z3 + chains.z4 + chains.z5 +
                  chains.z6 + chains.z7 + chains.z8 + chains.z9 + chains.z10 + chains.z11);
  if (dot(sum, vec4(1)) > p.never) result[0] = sum;
}
