// Push constants of sums over a tensor that are made in parts.
#ifndef CALDERA_SHADERS_REDUCTION_PARAMS_H
#define CALDERA_SHADERS_REDUCTION_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct SumPartsParams {
  uint pixels;
  uint c4;
  uint part_pixels;
  uint first_part;
};

// to[v] += the sum over parts of parts[part][v].
struct AddPartsParams {
  uint vectors;
  uint parts;
};

struct SumPixelsParams {
  uint images;
  uint pixels;  // Of an image.
  uint c4;
};

CALDERA_PARAMS_END

#endif
