// Push constants of conv2d_weight_gradient.
#ifndef CALDERA_SHADERS_WEIGHT_GRADIENT_PARAMS_H
#define CALDERA_SHADERS_WEIGHT_GRADIENT_PARAMS_H

#include "conv2d_params.h"

CALDERA_PARAMS_BEGIN

// dw[o][ky][kx][i] is a sum over the output rows of all images. A row of a convolution of one tap
// and no stride may be any run of pixels: then in_h = out_h = 1 and a row is cut as it
// suits. Kernels in tiles count pixels instead, whatever rows those are in.
struct WeightGradientParams {
  Conv2dParams conv;  // Of the forward convolution; its pixels are dy's.
  uint part_rows;     // Output rows that one part sums over,
  uint part_pixels;   // or pixels.
  uint first_part;    // Of this dispatch.
  uint parts;         // Of this dispatch.
};

CALDERA_PARAMS_END

#endif
