// Gradients through activations (epilogue.h has their numbers), told from what they were given or
// from what they made. At the corners and where those are NaN they are PyTorch's: ReLU, ReLU6 and
// hard-swish let the gradient at a NaN through, and where they are flat give 0 whatever the
// gradient, be it a NaN. Which activation is a constant, since drivers on a CPU compute every branch
// of a switch.
#include "nan.glsl"

layout(constant_id = 1) const uint kActivation = 1;

// `z`: what the activation was given.
vec4 gradient_at(vec4 dy, vec4 z) {
  if (kActivation == 0) return dy;
  if (kActivation <= 2) {
    bvec4 closed = lessThanEqual(z, vec4(0));
    if (kActivation == 2) closed = mix(closed, bvec4(true), greaterThanEqual(z, vec4(6)));
    return mix(dy, vec4(0), unless_nan(closed, z));
  }
  if (kActivation == 5) {
    vec4 slope = mix(vec4(1), z / 3.0 + 0.5, unless_nan(lessThanEqual(z, vec4(3)), z));
    return mix(dy * slope, vec4(0), unless_nan(lessThan(z, vec4(-3)), z));
  }
  vec4 s = sigmoid_nan(z);
  return dy * (kActivation == 3 ? s * (1.0 - s) : s * (1.0 + z * (1.0 - s)));
}

// `y`: what it made, for those whose derivative that tells.
vec4 gradient_from_output(vec4 dy, vec4 y) {
  return kActivation == 3 ? dy * (y * (1.0 - y)) : gradient_at(dy, y);
}
