// Push constants of linear.
#ifndef CALDERA_SHADERS_LINEAR_PARAMS_H
#define CALDERA_SHADERS_LINEAR_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct LinearParams {
  uint images;
  uint in4;          // Vectors of a weight's row,
  uint in_c4;        // and of an image.
  uint out4;         // Vectors of a whole output row.
  uint out_c;        // Channels of a whole output row.
  uint first_block;  // This dispatch makes blocks first_block to first_block + blocks - 1.
  uint blocks;
  uint epilogue;
};

CALDERA_PARAMS_END

#endif
