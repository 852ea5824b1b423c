// Push constants of pack_weight and pack_winograd.
#ifndef CALDERA_SHADERS_PACK_WEIGHT_PARAMS_H
#define CALDERA_SHADERS_PACK_WEIGHT_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

// Of the weight as it is packed: [outputs, inputs, kernel_h, kernel_w].
struct PackWeightParams {
  uint outputs;
  uint inputs;
  uint kernel_h;
  uint kernel_w;
  uint source_inputs;  // Of the weight as it is stored.
  uint source_h;
  uint source_w;
  uint first_h;  // Of the taps that a transposed weight takes,
  uint first_w;
  uint stride_h;  // of which the others follow.
  uint stride_w;
};

CALDERA_PARAMS_END

#endif
