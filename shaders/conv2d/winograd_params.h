// Push constants of the Winograd convolutions' shaders: the convolution's, and how it is tiled.
#ifndef CALDERA_SHADERS_CONV2D_WINOGRAD_PARAMS_H
#define CALDERA_SHADERS_CONV2D_WINOGRAD_PARAMS_H

#include "conv2d_params.h"

CALDERA_PARAMS_BEGIN

struct WinogradParams {
  Conv2dParams conv;
  uint tiles;  // Of all images.
  uint tiles_h;
  uint tiles_w;
  uint elements;  // Of a tile: n^2.
  uint add;       // Of a weight's gradient: whether to what earlier images left, and not to zero.
};

CALDERA_PARAMS_END

#endif
