// How activations and convolution weights lie in memory: as floats, with STORAGE_F16 as halves, with
// STORAGE_BF16 as the upper halves of floats. Every shader of them is compiled for each. Arithmetic
// is of floats in all: what is loaded goes through widen(), what is stored through narrow(); those
// of one element end in 1. Texel buffers are declared by TEXEL_FORMAT and TEXELS_T.
#ifndef CALDERA_STORAGE_GLSL
#define CALDERA_STORAGE_GLSL

#if defined(STORAGE_F16)
#extension GL_EXT_shader_16bit_storage : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define scalar_t float16_t
#define vector_t f16vec4
#define TEXEL_FORMAT rgba16f
#define TEXELS_T imageBuffer
vec4 widen(vector_t v) { return vec4(v); }
vector_t narrow(vec4 v) { return vector_t(v); }
#define widen1(v) float(v)
#define narrow1(v) scalar_t(v)

#elif defined(STORAGE_BF16)
// No device needs to know the type: it is shifted into place, and rounded to nearest, ties to even.
#extension GL_EXT_shader_16bit_storage : require
#define scalar_t uint16_t
#define vector_t uvec2
#define TEXEL_FORMAT rgba16ui
#define TEXELS_T uimageBuffer
vec4 widen(vector_t v) {
  return uintBitsToFloat(uvec4(v.x << 16, v.x & 0xffff0000u, v.y << 16, v.y & 0xffff0000u));
}
uvec4 bf16_bits(vec4 v) {
  uvec4 bits = floatBitsToUint(v);
  uvec4 rounded = bits + 0x7fffu + (bits >> 16 & 1u);
  bvec4 no_number = greaterThan(bits & 0x7fffffffu, uvec4(0x7f800000u));
  return mix(rounded, bits | 0x400000u, no_number) >> 16;
}
vector_t narrow(vec4 v) {
  uvec4 bits = bf16_bits(v);
  return bits.xz | bits.yw << 16;
}
#define widen1(v) uintBitsToFloat(uint(v) << 16)
#define narrow1(v) scalar_t(bf16_bits(vec4(v)).x)

#else
#define scalar_t float
#define vector_t vec4
#define TEXEL_FORMAT rgba32f
#define TEXELS_T imageBuffer
vec4 widen(vector_t v) { return v; }
vector_t narrow(vec4 v) { return v; }
#define widen1(v) (v)
#define narrow1(v) (v)
#endif

// The format of a texel buffer, of f32 or of the storage.
vec4 widen_texel(vec4 texel) { return texel; }
vec4 widen_texel(uvec4 texel) { return uintBitsToFloat(texel << 16); }
#define load_texel(name, index) widen_texel(imageLoad(name, int(index)))

#endif
