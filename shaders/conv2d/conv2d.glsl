// What the conv2d shaders share: parameters and the place of an output pixel.
#include "../common/storage.glsl"
#include "conv2d_params.h"

PUSH_CONSTANTS(Conv2dParams)

struct Pixel {
  uint image;
  int y;  // Of the window's first tap in the input; negative in the padding.
  int x;
};

Pixel locate(uint pixel) {
  uint column = pixel % p.out_w;
  uint row = pixel / p.out_w;
  uint image = row / p.out_h;
  return Pixel(image, int((row - image * p.out_h) * p.stride_h) - int(p.pad_h),
               int(column * p.stride_w) - int(p.pad_w));
}

// Index of the input pixel under a tap, or -1 in the padding.
int tap_pixel(Pixel at, uint ky, uint kx) {
  int y = at.y + int(ky * p.dilation_h);
  int x = at.x + int(kx * p.dilation_w);
  bool inside = uint(y) < p.in_h && uint(x) < p.in_w;
  return inside ? (int(at.image) * int(p.in_h) + y) * int(p.in_w) + x : -1;
}
