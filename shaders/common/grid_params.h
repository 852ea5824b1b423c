// What begins the push constants of every shader that the recorder dispatches, which fills it in.
#ifndef CALDERA_SHADERS_COMMON_GRID_PARAMS_H
#define CALDERA_SHADERS_COMMON_GRID_PARAMS_H

#include "types.h"

CALDERA_PARAMS_BEGIN

// The largest block that every device offers, these included.
const uint kMaxPushConstantBytes = 128u;

struct GridParams {
  uint first_workgroup;  // 0, or where this part of a dispatch begins, counted row by row.
};

CALDERA_PARAMS_END

#endif
