// Pictures as PNG files, for what a page embeds and what make_shapes draws.
#pragma once

#include <string>

#include "caldera/image.h"

namespace caldera::tool {

// The file's bytes; empty where there is no memory for them.
std::string encode_png(const Image& image);

// "data:image/png;base64,...", by which a page holds a picture.
std::string png_data_uri(const Image& image);

}  // namespace caldera::tool
