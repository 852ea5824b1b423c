// Derivatives of activations (epilogue.h has their numbers), of what they were given or of what
// they made. At the corners they are PyTorch's. Which one is a constant, since drivers on a CPU
// compute every branch of a switch.
layout(constant_id = 1) const uint kActivation = 1;

vec4 within(vec4 v, float low, float high) {
  uvec4 below = uvec4(lessThanEqual(v, vec4(low)));
  bvec4 outside = bvec4(below | uvec4(greaterThanEqual(v, vec4(high))));
  return mix(vec4(1), vec4(0), outside);
}

// `z`: what the activation was given.
vec4 slope_at(vec4 z) {
  const float kInfinity = uintBitsToFloat(0x7f800000u);
  if (kActivation == 0) return vec4(1);
  if (kActivation == 1) return within(z, 0.0, kInfinity);
  if (kActivation == 2) return within(z, 0.0, 6.0);
  vec4 s = 1.0 / (1.0 + exp(-z));
  switch (kActivation) {
    case 3: return s * (1.0 - s);
    case 4: return s * (1.0 + z * (1.0 - s));
    default: return mix(mix(z / 3.0 + 0.5, vec4(1), greaterThan(z, vec4(3))), vec4(0),
                       lessThan(z, vec4(-3)));
  }
}

// `y`: what it made, for those whose derivative that tells.
vec4 slope_from_output(vec4 y) { return kActivation == 3 ? y * (1.0 - y) : slope_at(y); }
