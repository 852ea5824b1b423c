// Push constants of the Winograd convolutions' shaders. Channel counts ending in 4 are in vectors
// of four.
#ifndef CALDERA_SHADERS_CONV2D_WINOGRAD_PARAMS_H
#define CALDERA_SHADERS_CONV2D_WINOGRAD_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

struct WinogradParams {
  uint tiles;  // Of all images.
  uint tiles_h;
  uint tiles_w;
  uint in_h;
  uint in_w;
  uint in_c4;
  uint out_h;
  uint out_w;
  uint out_c4;
  uint out_c;
  uint pad_h;
  uint pad_w;
  uint elements;  // Of a tile: n^2.
  uint epilogue;
};

CALDERA_PARAMS_END

#endif
