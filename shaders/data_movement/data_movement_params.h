// Push constants of pad, subsample, concat and flatten, and of the layout changes.
#ifndef CALDERA_SHADERS_DATA_MOVEMENT_PARAMS_H
#define CALDERA_SHADERS_DATA_MOVEMENT_PARAMS_H

#include "../common/types.h"

CALDERA_PARAMS_BEGIN

// y[n, h, w, c] = x[n, (h - top) / spread_h * stride_h, (w - left) / spread_w * stride_w, c -
// before] where the quotients are whole and that lies within x, else zero.
struct ResampleParams {
  uint pixels;  // Output pixels: images * out_h * out_w.
  uint in_h;
  uint in_w;
  uint in_c;
  uint in_c4;
  uint out_h;
  uint out_w;
  uint out_c;
  uint out_c4;
  uint top;
  uint left;
  uint channels_before;
  uint stride_h;
  uint stride_w;
  uint spread_h;
  uint spread_w;
};

// Puts one phase into the output, at every stride_h-th row from at_h on and likewise columns.
struct InterleaveParams {
  uint pixels;  // Of the phase: images * rows * columns.
  uint rows;
  uint columns;
  uint c4;
  uint in_h;
  uint in_w;
  uint out_h;
  uint out_w;
  uint from_h;
  uint from_w;
  uint at_h;
  uint at_w;
  uint stride_h;
  uint stride_w;
};

// Puts one input's channels into the output at `first`; the last input also zeroes the tail.
struct ConcatParams {
  uint pixels;
  uint in_c;
  uint in_c4;
  uint out_c4;
  uint first;
  uint width;  // Channels that this dispatch writes: in_c, and the tail for the last input.
};

struct ConvertParams {
  uint vectors;  // In the tensor.
};

// Between NHWC with padded channels and dense NCHW.
struct LayoutParams {
  uint images;
  uint channels;
  uint c4;
  uint pixels;  // In one image.
};

// Bytes into NHWC with padded channels.
struct PixelParams {
  uint images;
  uint first;  // Among all images that are bound.
  uint c4;
  uint pixels;  // In one image.
};

CALDERA_PARAMS_END

#endif
