// Tensors as arrays of vectors of four channels: storage buffers or, with TEXELS, texel buffers of
// the same memory, through which software drivers load several times as fast. Every shader that
// includes this is compiled both ways.
#include "storage.glsl"

#ifdef TEXELS
#define VECTORS_IN(number, name) \
  layout(binding = number, TEXEL_FORMAT) readonly uniform imageBuffer name
#define VECTORS_OUT(number, name) \
  layout(binding = number, TEXEL_FORMAT) writeonly uniform imageBuffer name
#define LOAD(name, index) imageLoad(name, int(index))
#define STORE(name, index, value) imageStore(name, int(index), rounded(value))
#else
#define VECTORS_IN(number, name) \
  layout(std430, binding = number) readonly buffer name##Buffer { vector_t name[]; }
#define VECTORS_OUT(number, name) \
  layout(std430, binding = number) writeonly buffer name##Buffer { vector_t name[]; }
#define LOAD(name, index) vec4(name[index])
#define STORE(name, index, value) name[index] = vector_t(value)
#endif
