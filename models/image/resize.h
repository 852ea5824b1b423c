// Resizing with only a window of the result computed: a centre crop throws much of it away, and an
// image of extreme shape would, resized whole, not fit in memory.
#pragma once

#include <cstdint>

#include "caldera/image.h"

namespace caldera {

struct Window {
  int64_t left = 0;
  int64_t top = 0;
  int32_t width = 0;
  int32_t height = 0;
};

// The pixels of resize(image, width, height) within `window`, which lies inside of it.
Image resize_window(const Image& image, int64_t width, int64_t height, const Window& window);

struct Extent {
  int64_t width = 0;
  int64_t height = 0;
};

// What resize_shorter_side makes of a size, without a bound on the longer side.
Extent shorter_side_extent(const Image& image, int32_t size);
// The same with the longer side cut so that there are no more than 2^28 pixels: a strip one pixel
// wide would otherwise grow without bound.
Extent bounded_extent(const Extent& extent);

// The window that a centre crop takes of an image of this size; negative where it must be padded.
struct Offset {
  int64_t left = 0;
  int64_t top = 0;
};
Offset center_crop_offset(const Extent& image, int32_t width, int32_t height);

}  // namespace caldera
