// Push constants of the pools.
#ifndef CALDERA_SHADERS_POOL_PARAMS_H
#define CALDERA_SHADERS_POOL_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct PoolParams {
  uint pixels;  // Output pixels: images * out_h * out_w.
  uint channels;
  uint c4;
  uint in_h;
  uint in_w;
  uint out_h;
  uint out_w;
  uint kernel_h;
  uint kernel_w;
  uint stride_h;
  uint stride_w;
  uint pad_h;
  uint pad_w;
  uint dilation_h;
  uint dilation_w;
  uint count_include_pad;
};

CALDERA_PARAMS_END

#endif
