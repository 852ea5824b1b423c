// stb_image, compiled once and privately. Its memory comes from here: zeroed, so that what a
// damaged file leaves unwritten is black and not some earlier content of the heap, and limited,
// so that a small file which inflates without end cannot take the machine's memory.
#include "models/image/stb.h"

#include <climits>
#include <cstdlib>

namespace {

thread_local size_t allocation_limit = 0;
thread_local bool allocation_refused = false;

void* limited_alloc(size_t size) {
  void* memory = size <= allocation_limit ? std::calloc(1, size) : nullptr;
  allocation_refused |= memory == nullptr;
  return memory;
}

void* limited_realloc(void* old, size_t size) {
  void* memory = size <= allocation_limit ? std::realloc(old, size) : nullptr;
  allocation_refused |= memory == nullptr;
  return memory;
}

}  // namespace

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MALLOC(size) limited_alloc(size)
#define STBI_REALLOC(old, size) limited_realloc(old, size)
#define STBI_FREE(old) std::free(old)
#include <stb/stb_image.h>

namespace caldera::stb {

void Free::operator()(uint8_t* pixels) const {
  std::free(pixels);
}

Pixels decode(std::span<const uint8_t> bytes, size_t limit) {
  allocation_refused = false;
  if (bytes.size() > INT_MAX) return {};
  allocation_limit = limit;
  Pixels out;
  int channels = 0;
  out.rgb.reset(stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &out.width,
                                      &out.height, &channels, STBI_rgb));
  return out;
}

const char* failure() {
  const char* reason = stbi_failure_reason();
  return reason ? reason : "unknown error";
}

bool out_of_memory() {
  return allocation_refused;
}

}  // namespace caldera::stb
