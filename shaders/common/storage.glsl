// How activations and convolution weights lie in memory: as floats, or with STORAGE_F16 as halves.
// Every shader of them is compiled for both. Arithmetic is of floats in either: load with vec4() or
// float(), store with vector_t() or scalar_t().
#ifndef CALDERA_STORAGE_GLSL
#define CALDERA_STORAGE_GLSL
#ifdef STORAGE_F16
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define scalar_t float16_t
#define vector_t f16vec4
#define TEXEL_FORMAT rgba16f
#else
#define scalar_t float
#define vector_t vec4
#define TEXEL_FORMAT rgba32f
#endif
#endif
