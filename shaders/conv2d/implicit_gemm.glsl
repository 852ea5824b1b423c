// What the kernels share that make a convolution a product of matrices: pixels [pixel][k] by
// weights [k][channel], where k runs over (tap, input channel) in vectors of four channels. The
// matrix of pixels is never made (implicit im2col): a cursor walks it.

#include "../common/channels.h"

// A workgroup's tile of outputs.
struct Tile {
  uint first_pixel;
  uint first4;     // Of its vectors of output channels.
  uint last4;      // Its group's end, or the last padding's: tiles may reach past it.
  uint first_in4;  // Of its group's vectors of input channels.
};

Tile locate_tile(uint tile_pixels, uint tile_channels4) {
  uint group_out4 = (p.group_out + 3) / 4;
  uint group_tiles = (group_out4 + tile_channels4 - 1) / tile_channels4;
  uint groups = p.out_c / p.group_out;
  uint channel_tiles = groups * group_tiles;
  uint index = workgroup_index();
  uint channel_tile = index % channel_tiles;
  uint group = channel_tile / group_tiles;
  return Tile(index / channel_tiles * tile_pixels,
              group * group_out4 + channel_tile % group_tiles * tile_channels4,
              group + 1 < groups ? (group + 1) * group_out4 - 1 : p.out_c4 - 1,
              group * stored_vectors(p.group_in));
}

uint k_extent() { return p.kernel_h * p.kernel_w * stored_vectors(p.group_in) * 4; }

// A vector of k: four channels under a tap. Past the end, ky is past the kernel.
struct Cursor {
  uint i4;
  uint ky;
  uint kx;
};

Cursor cursor_at(uint k4) {
  uint group_in4 = stored_vectors(p.group_in);
  uint tap = k4 / group_in4;
  return Cursor(k4 % group_in4, tap / p.kernel_w, tap % p.kernel_w);
}

// By as much as `stride` is from the start: by additions, for the inner loop.
void advance(inout Cursor cursor, Cursor stride) {
  uint group_in4 = stored_vectors(p.group_in);
  cursor.i4 += stride.i4;
  bool next_tap = cursor.i4 >= group_in4;
  cursor.i4 -= next_tap ? group_in4 : 0;
  cursor.kx += stride.kx + (next_tap ? 1 : 0);
  bool next_row = cursor.kx >= p.kernel_w;
  cursor.kx -= next_row ? p.kernel_w : 0;
  cursor.ky += stride.ky + (next_row ? 1 : 0);
}

// Index of the input pixel under the cursor's tap, or -1 in the padding and past the end.
int cursor_pixel(Pixel at, Cursor cursor) {
  return cursor.ky < p.kernel_h ? tap_pixel(at, cursor.ky, cursor.kx) : -1;
}
