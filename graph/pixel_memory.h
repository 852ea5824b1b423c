// Where the bytes of images lie: how they are mixed, one pair of numbers an image, then the images.
#pragma once

#include "graph/align.h"
#include "runtime/buffer.h"

namespace caldera {

struct PixelMemory {
  Buffer buffer;
  int64_t images = 0;
  int64_t height = 0;
  int64_t width = 0;

  // Where the images begin in the buffer.
  static uint64_t offset(int64_t images) {
    constexpr uint64_t kMix = 8;  // A weight and a partner.
    return round_up(static_cast<uint64_t>(images) * kMix, 256);
  }
};

}  // namespace caldera
