// Push constants of the kernels that measure a device, and what the host counts by.
#ifndef CALDERA_SHADERS_PEAK_PARAMS_H
#define CALDERA_SHADERS_PEAK_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

const uint kPeakChains = 12;
const uint kPeakUnrolled = 8;  // Steps an iteration of the loop.

struct MultiplyAddParams {
  uint steps;   // A multiple of kPeakUnrolled.
  float c;      // From -1.9 to -1.5: chaos within -2 and 2.
  float never;  // More than the chains can come to.
};

struct CopyParams {
  uint vectors;  // Of four floats.
};

CALDERA_PARAMS_END

#endif
