// Tensors as arrays of vectors of four channels: storage buffers or, with TEXELS, what is read as
// texel buffers of the same memory. Software drivers load through those several times as fast, and
// store several times as slowly. Every shader that includes this is compiled both ways.
// FLOATS_IN: of vectors that are f32 in every precision.
#include "storage.glsl"

#ifdef TEXELS
#define VECTORS_IN(number, name) \
  layout(binding = number, TEXEL_FORMAT) readonly uniform TEXELS_T name
#define FLOATS_IN(number, name) \
  layout(binding = number, rgba32f) readonly uniform imageBuffer name
#define LOAD(name, index) load_texel(name, index)
#else
#define VECTORS_IN(number, name) \
  layout(std430, binding = number) readonly buffer name##Buffer { vector_t name[]; }
#define FLOATS_IN(number, name) \
  layout(std430, binding = number) readonly buffer name##Buffer { vec4 name[]; }
vec4 widen_loaded(vector_t v) { return widen(v); }
#if defined(STORAGE_F16) || defined(STORAGE_BF16)
vec4 widen_loaded(vec4 v) { return v; }
#endif
#define LOAD(name, index) widen_loaded(name[index])
#endif
#define VECTORS_OUT(number, name) \
  layout(std430, binding = number) writeonly buffer name##Buffer { vector_t name[]; }
#define STORE(name, index, value) name[index] = narrow(value)
