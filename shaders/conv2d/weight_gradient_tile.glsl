// What the kernels share that make a weight gradient a product of matrices: gradients
// [channel][pixel] by inputs [pixel][place], where a place is a filter's tap and four input
// channels. The matrix of inputs is never made (implicit im2col): a cursor walks the pixels.

// A workgroup's tile of sums, over the pixels of one part.
struct Tile {
  uint part;
  uint first4;       // Of its vectors of output channels.
  uint last4;        // Of its group's: the tile may reach past it.
  uint first_place;  // It may reach past the filter's last.
  uint first_in4;    // Of its group's vectors of input channels.
};

uint group_in4() { return (p.conv.group_in + 3) / 4; }
uint filter_places() { return p.conv.kernel_h * p.conv.kernel_w * group_in4(); }

// Tiles of one part are counted first: those that run together read the same pixels.
Tile locate_tile(uint tile_channels4, uint tile_places) {
  uint group_out4 = (p.conv.group_out + 3) / 4;
  uint place_tiles = (filter_places() + tile_places - 1) / tile_places;
  uint group_tiles = (group_out4 + tile_channels4 - 1) / tile_channels4;
  uint channel_tiles = p.conv.out_c / p.conv.group_out * group_tiles;
  uint index = workgroup_index();
  uint channel_tile = index / place_tiles % channel_tiles;
  uint group = channel_tile / group_tiles;
  return Tile(index / (place_tiles * channel_tiles),
              group * group_out4 + channel_tile % group_tiles * tile_channels4,
              (group + 1) * group_out4 - 1, index % place_tiles * tile_places,
              group * group_in4());
}

// Where a place lies beside the window's first pixel, which the padding may put before the image.
struct Place {
  int y;
  int x;
  uint in4;  // Of the whole pixel's vectors.
};

Place locate_place(Tile tile, uint place) {
  uint inside = min(place, filter_places() - 1);
  uint tap = inside / group_in4();
  uint ky = tap / p.conv.kernel_w;
  return Place(int(ky * p.conv.dilation_h) - int(p.conv.pad_h),
               int((tap - ky * p.conv.kernel_w) * p.conv.dilation_w) - int(p.conv.pad_w),
               tile.first_in4 + inside - tap * group_in4());
}

// A pixel of dy.
struct Cursor {
  uint image;
  uint row;
  uint column;
};

Cursor cursor_at(uint pixel) {
  uint row = pixel / p.conv.out_w;
  uint image = row / p.conv.out_h;
  return Cursor(image, row - image * p.conv.out_h, pixel - row * p.conv.out_w);
}

// By as much as `stride` is from the first pixel: by additions, for the inner loop.
void advance(inout Cursor cursor, Cursor stride) {
  cursor.column += stride.column;
  bool next_row = cursor.column >= p.conv.out_w;
  cursor.column -= next_row ? p.conv.out_w : 0;
  cursor.row += stride.row + (next_row ? 1 : 0);
  bool next_image = cursor.row >= p.conv.out_h;
  cursor.row -= next_image ? p.conv.out_h : 0;
  cursor.image += stride.image + (next_image ? 1 : 0);
}

// Index of the input pixel that a place meets under a pixel of dy, or -1 in the padding.
int input_pixel(Cursor at, Place place) {
  int y = int(at.row * p.conv.stride_h) + place.y;
  int x = int(at.column * p.conv.stride_w) + place.x;
  bool inside = uint(y) < p.conv.in_h && uint(x) < p.conv.in_w;
  return inside ? (int(at.image) * int(p.conv.in_h) + y) * int(p.conv.in_w) + x : -1;
}
