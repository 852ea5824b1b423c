// Changes of colour in 8 bits, to the bit as Pillow's ImageEnhance makes them, which torchvision's
// ColorJitter calls.
#pragma once

#include "caldera/augment.h"
#include "caldera/image.h"

#include "models/data/random.h"

namespace caldera {

// Factors: 0 gives black, grey of the image's mean, or the grey image; 1 the image itself.
void adjust_brightness(Image& image, float factor);
void adjust_contrast(Image& image, float factor);
void adjust_saturation(Image& image, float factor);
// Turned by `turn` of the circle, -0.5 to 0.5, in steps of 1/256.
void adjust_hue(Image& image, float turn);

void jitter_colors(Image& image, const ColorJitter& jitter, Random& random);

}  // namespace caldera
