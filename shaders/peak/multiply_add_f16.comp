#version 450
// In half precision, two or four to a register where the device packs them.
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define TYPE f16vec4
#extension GL_GOOGLE_include_directive : require
#include "multiply_add.glsl"
