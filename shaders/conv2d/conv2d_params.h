// Push constants of every conv2d shader. Channel counts ending in 4 are in vectors of four.
#ifndef CALDERA_SHADERS_CONV2D_PARAMS_H
#define CALDERA_SHADERS_CONV2D_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct Conv2dParams {
  uint pixels;  // Output pixels: images * out_h * out_w.
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
  uint group_in;   // Input channels of a group.
  uint group_out;  // Output channels of a group.
  uint epilogue;
};

CALDERA_PARAMS_END

#endif
