// What the shaders of Winograd's convolutions share: F(m x m, 3 x 3), for m = 2 and m = 4 (Lavin
// and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308). An output tile
// of m x m is made of an input tile of n x n, n = m + 2, by
//
//   Y = A^T [ U . (B^T d B) ] A
//
// where . is a product of elements, which over channels and tiles becomes n^2 matrix products:
//
//   d --winograd_input--> V [n^2][tile][in4] --winograd_product--> M [n^2][tile][out4]
//     --winograd_output--> Y
//
// U, the transformed filters, are made on the host (graph/pack_weights.cpp).
#extension GL_EXT_control_flow_attributes : require
#include "../common/storage.glsl"
#include "winograd_params.h"

PUSH_CONSTANTS(WinogradParams)

// One row or column of B^T d: `d` is replaced.
#define WINOGRAD_INPUT_4(d0, d1, d2, d3, d4, d5) \
  { \
    vec4 even = d4 - 4.0 * d2, odd = d3 - 4.0 * d1; \
    vec4 near = d4 - d2, far = 2.0 * (d3 - d1); \
    vec4 first = 4.0 * d0 - 5.0 * d2 + d4, last = 4.0 * d1 - 5.0 * d3 + d5; \
    d0 = first; \
    d1 = even + odd; \
    d2 = even - odd; \
    d3 = near + far; \
    d4 = near - far; \
    d5 = last; \
  }
#define WINOGRAD_INPUT_2(d0, d1, d2, d3) \
  { \
    vec4 first = d0 - d2, second = d1 + d2, third = d2 - d1, last = d1 - d3; \
    d0 = first; \
    d1 = second; \
    d2 = third; \
    d3 = last; \
  }

// One row or column of A^T m: the first four, or two, are replaced.
#define WINOGRAD_OUTPUT_4(m0, m1, m2, m3, m4, m5) \
  { \
    vec4 sum1 = m1 + m2, difference1 = m1 - m2; \
    vec4 sum2 = m3 + m4, difference2 = m3 - m4; \
    m0 = m0 + sum1 + sum2; \
    m1 = difference1 + 2.0 * difference2; \
    m2 = sum1 + 4.0 * sum2; \
    m3 = difference1 + 8.0 * difference2 + m5; \
  }
#define WINOGRAD_OUTPUT_2(m0, m1, m2, m3) \
  { \
    vec4 first = m0 + m1 + m2, second = m1 - m2 - m3; \
    m0 = first; \
    m1 = second; \
  }

// One row or column of A y, where A has A^T's coefficients: the first four become six.
#define WINOGRAD_GRADIENT_4(y0, y1, y2, y3, y4, y5) \
  { \
    vec4 even = y0 + y2, odd = y1 + y3; \
    vec4 even4 = y0 + 4.0 * y2, odd2 = 2.0 * y1 + 8.0 * y3; \
    y5 = y3; \
    y1 = even + odd; \
    y2 = even - odd; \
    y3 = even4 + odd2; \
    y4 = even4 - odd2; \
  }

// One row or column of G^T u: the first three are replaced.
#define WINOGRAD_FILTER_GRADIENT_4(u0, u1, u2, u3, u4, u5) \
  { \
    vec4 sum1 = (u1 + u2) / 6.0, difference1 = (u2 - u1) / 6.0; \
    vec4 sum2 = u3 + u4, difference2 = u3 - u4; \
    u0 = u0 / 4.0 - sum1 + sum2 / 24.0; \
    u1 = difference1 + difference2 / 12.0; \
    u2 = sum2 / 6.0 - sum1 + u5; \
  }
