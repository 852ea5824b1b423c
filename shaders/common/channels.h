// In how many vectors of four a pixel's channels are stored. One function for GLSL and C++, so that
// the two cannot disagree.
#ifndef CALDERA_SHADERS_COMMON_CHANNELS_H
#define CALDERA_SHADERS_COMMON_CHANNELS_H

#include "types.h"

#ifdef __cplusplus
#define CALDERA_CONSTEXPR constexpr
#else
#define CALDERA_CONSTEXPR
#endif

CALDERA_PARAMS_BEGIN

// More than four channels take whole eights, so that in 16-bit storage every load is 16 bytes. Up
// to four, an image's colours above all, take one vector: two neighbouring pixels are 16 bytes. It
// is the same in every storage, so vectors of a channel's f32 numbers (statistics, biases) have the
// indices of the activations that they belong to.
CALDERA_CONSTEXPR uint stored_vectors(uint channels) {
  return channels <= 4u ? 1u : (channels + 7u) / 8u * 2u;
}

CALDERA_PARAMS_END

#endif
