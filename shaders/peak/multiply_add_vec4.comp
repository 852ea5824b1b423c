#version 450
// A vec4 a chain: 48 independent multiply-adds.
#define TYPE vec4
#extension GL_GOOGLE_include_directive : require
#include "multiply_add.glsl"
