// A file that the build embedded (cmake/embed_text.cmake), as text.
#pragma once

#include <cstddef>
#include <string_view>

namespace caldera::tool {

// Without the zero at its end.
template <size_t size>
constexpr std::string_view embedded_text(const char (&bytes)[size]) {
  return {bytes, size - 1};
}

}  // namespace caldera::tool
