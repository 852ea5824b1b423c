// y = activation(y + bias + residual), four channels at a time. Channels past the last are zero in
// memory always, so that other kernels may read whole vectors: zero_tail sees to it where an
// activation does not map zero to zero.
#include "epilogue.h"
#include "nan.glsl"

// A NaN stays one, as in PyTorch.
vec4 relu(vec4 y) { return max_nan(y, vec4(0)); }
vec4 relu6(vec4 y) { return clamp_nan(y, vec4(0), vec4(6)); }

// Drivers on a CPU compute every branch of a switch, so a shader for them may take, as its
// specialization constant EPILOGUE_CONSTANT, whether activations beyond relu6 have to be there.
#ifdef EPILOGUE_CONSTANT
layout(constant_id = EPILOGUE_CONSTANT) const bool kAnyActivation = true;
#else
const bool kAnyActivation = true;
#endif

// Of none, relu and relu6.
vec4 clip(vec4 y, uint activation) {
  const float kInfinity = uintBitsToFloat(0x7f800000u);
  vec4 low = vec4(activation == 0 ? -kInfinity : 0.0);
  vec4 high = vec4(activation == 2 ? 6.0 : kInfinity);
  return clamp_nan(y, low, high);
}

vec4 activate(vec4 y, uint activation) {
  if (!kAnyActivation) return clip(y, activation);
  switch (activation) {
    case 1: return relu(y);
    case 2: return relu6(y);
    case 3: return sigmoid_nan(y);
    case 4: return keep_nan(y / (1.0 + exp(-y)), y);
    case 5: return y * (relu6(y + 3.0) / 6.0);
    default: return y;
  }
}

// `block`: index of the vector of four channels.
vec4 zero_tail(vec4 y, uint block, uint channels) {
  return mix(vec4(0), y, lessThan(block * 4 + uvec4(0, 1, 2, 3), uvec4(channels)));
}

#ifdef EPILOGUE_BINDINGS
#include "storage.glsl"
// With EPILOGUE_TEXELS both are texel buffers, for kernels that load through those.
#ifdef EPILOGUE_TEXELS
layout(binding = EPILOGUE_BINDINGS, rgba32f) readonly uniform imageBuffer biases;
layout(binding = EPILOGUE_BINDINGS + 1, TEXEL_FORMAT) readonly uniform TEXELS_T residuals;
#define EPILOGUE_BIAS(block) imageLoad(biases, int(block))
#define EPILOGUE_RESIDUAL(index) load_texel(residuals, index)
#else
layout(std430, binding = EPILOGUE_BINDINGS) readonly buffer BiasBuffer { vec4 bias[]; };
layout(std430, binding = EPILOGUE_BINDINGS + 1) readonly buffer ResidualBuffer {
  vector_t residual[];
};
#define EPILOGUE_BIAS(block) bias[block]
#define EPILOGUE_RESIDUAL(index) widen(residual[index])
#endif

// `index`: of the vector in the output, and so in the residual.
vec4 apply_epilogue(vec4 y, uint epilogue, uint block, uint channels, uint index) {
  if ((epilogue & kEpilogueBias) != 0) y += EPILOGUE_BIAS(block);
  if ((epilogue & kEpilogueResidual) != 0) y += EPILOGUE_RESIDUAL(index);
  y = activate(y, epilogue & kEpilogueActivationMask);
  return zero_tail(y, block, channels);
}
#endif
