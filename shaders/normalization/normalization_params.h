// Push constants of batch statistics and of normalisation by them.
#ifndef CALDERA_SHADERS_NORMALIZATION_PARAMS_H
#define CALDERA_SHADERS_NORMALIZATION_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

// A tensor's pixels are summed in parts, each by one invocation a vector of four channels; another
// dispatch adds the parts up. Parts lie as [2][parts][c4].
struct StatisticsParams {
  uint pixels;  // Of this dispatch's images.
  uint c4;
  uint part_pixels;
  uint first_part;  // Of this dispatch.
  uint parts;       // In all.
  float count;      // Values a channel, of the whole batch.
  float eps;
};

// Four channels of `part_pixels` pixels an invocation, since what is known of a channel is loaded
// once for all of them.
struct NormalizeParams {
  uint pixels;  // Of this dispatch's images.
  uint c4;
  uint channels;
  uint part_pixels;
  float count;  // Values a channel, of the whole batch.
  float eps;
  uint epilogue;  // Of normalize: common/epilogue.h.
  uint frozen;
};

struct UpdateRunningParams {
  uint c4;
  float momentum;
  uint cumulative;
  float count;
};

CALDERA_PARAMS_END

#endif
