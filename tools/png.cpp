// stb_image_write, compiled here alone, with its symbols kept inside.
#include "tools/png.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace caldera::tool {

std::string encode_png(const Image& image) {
  std::string file;
  const auto append = [](void* context, void* bytes, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(bytes),
                                               static_cast<size_t>(size));
  };
  stbi_write_png_to_func(append, &file, image.width, image.height, 3, image.pixels.data(),
                         3 * image.width);
  return file;
}

// RFC 4648, section 4.
std::string png_data_uri(const Image& image) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::string file = encode_png(image);
  std::string uri = "data:image/png;base64,";
  for (size_t i = 0; i < file.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < file.size() ? static_cast<uint8_t>(file[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      uri += i + k <= file.size() ? kDigits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return uri;
}

}  // namespace caldera::tool
