#version 450
// A float a chain: fits the sixteen registers of a CPU's vector unit.
#define TYPE float
#extension GL_GOOGLE_include_directive : require
#include "multiply_add.glsl"
