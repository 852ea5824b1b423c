// Push constants of conv2d_weight_gradient.
#ifndef CALDERA_SHADERS_WEIGHT_GRADIENT_PARAMS_H
#define CALDERA_SHADERS_WEIGHT_GRADIENT_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

// dw[o][ky][kx][i] is a sum over the output rows of all images. A row of a convolution of one tap
// and no stride may be any run of pixels: then images = in_h = out_h = 1 and a row is cut as it
// suits.
struct WeightGradientParams {
  uint pixels;  // Of dy: images * out_h * out_w.
  uint in_h;
  uint in_w;
  uint in_c4;
  uint out_h;
  uint out_w;
  uint out_c4;
  uint out_c;
  uint kernel_h;
  uint kernel_w;
  uint stride_h;
  uint stride_w;
  uint pad_h;
  uint pad_w;
  uint dilation_h;
  uint dilation_w;
  uint group_in;
  uint group_out;
  uint part_rows;   // Output rows that one part sums over.
  uint first_part;  // Of this dispatch.
  uint parts;       // Of this dispatch.
};

CALDERA_PARAMS_END

#endif
