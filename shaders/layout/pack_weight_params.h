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
  uint weight_layout;      // A WeightLayout (graph/dispatch.h).
  uint transposed_groups;  // 0: packed as it is.
  uint source_inputs;      // Of the weight as it is stored.
};

CALDERA_PARAMS_END

#endif
