// The random rectangles of augmentation, apart from what is done with them.
#pragma once

#include <cstdint>
#include <optional>

#include "caldera/augment.h"

#include "models/data/random.h"

namespace caldera {

struct Box {
  int32_t left = 0;
  int32_t top = 0;
  int32_t width = 0;
  int32_t height = 0;
};

// What RandomResizedCrop takes of an image of this size.
Box draw_resized_crop(const RandomResizedCrop& crop, int32_t width, int32_t height, Random& random);

// What RandomErasing erases of an input of this size; nothing where ten draws do not fit.
std::optional<Box> draw_erasing(const RandomErasing& erasing, int32_t width, int32_t height,
                                Random& random);

}  // namespace caldera
