// What keeps a NaN a NaN on every driver. Vulkan lets a driver assume that no number is a NaN:
// max(), clamp() and exp() then make of one what they like, isnan() may be false, and NVIDIA's
// compiler turns `y < 0 ? 0 : y` into a max() that gives 0. Bits are whole numbers, of which a
// driver assumes nothing. A test reads every shader's SPIR-V for what goes past this file
// (tests/runtime/shaders_test.cpp).
#ifndef CALDERA_NAN_GLSL
#define CALDERA_NAN_GLSL

bool is_nan(float v) { return (floatBitsToUint(v) & 0x7fffffffu) > 0x7f800000u; }
bvec4 is_nan(vec4 v) {
  return greaterThan(floatBitsToUint(v) & 0x7fffffffu, uvec4(0x7f800000u));
}

// `result`, but `v` where that is a NaN.
float keep_nan(float result, float v) { return is_nan(v) ? v : result; }
vec4 keep_nan(vec4 result, vec4 v) { return mix(result, v, is_nan(v)); }

vec4 clamp_nan(vec4 v, vec4 low, vec4 high) { return keep_nan(clamp(v, low, high), v); }
// A NaN where either is one.
float max_nan(float a, float b) { return keep_nan(keep_nan(max(a, b), a), b); }
vec4 max_nan(vec4 a, vec4 b) { return keep_nan(keep_nan(max(a, b), a), b); }
float exp_nan(float v) { return keep_nan(exp(v), v); }
float log_nan(float v) { return keep_nan(log(v), v); }
vec4 sigmoid_nan(vec4 v) { return keep_nan(1.0 / (1.0 + exp(-v)), v); }

// `closed`, which a comparison of v made, but false where v is a NaN.
bvec4 unless_nan(bvec4 closed, vec4 v) { return mix(closed, bvec4(false), is_nan(v)); }

#endif
