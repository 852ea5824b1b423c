// Push constants of batch_norm.
#ifndef CALDERA_SHADERS_BATCH_NORM_PARAMS_H
#define CALDERA_SHADERS_BATCH_NORM_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct BatchNormParams {
  uint vectors;  // Of the tensor: pixels * c4.
  uint c4;
  uint channels;
  float eps;
  uint epilogue;
};

CALDERA_PARAMS_END

#endif
