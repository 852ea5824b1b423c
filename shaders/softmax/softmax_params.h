// Push constants of softmax.
#ifndef CALDERA_SHADERS_SOFTMAX_PARAMS_H
#define CALDERA_SHADERS_SOFTMAX_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct SoftmaxParams {
  uint pixels;
  uint channels;
  uint c4;
};

CALDERA_PARAMS_END

#endif
