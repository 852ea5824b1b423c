// Files that are written whole or not at all: what caches are kept in.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "caldera/result.h"

namespace caldera {

// Writes a file beside `path` and renames it over it, making the folder where there is none. Of
// several that write at once, the last stays whole. `what` names it in errors ("the pipeline
// cache").
Status write_whole_file(const std::filesystem::path& path, std::span<const char> bytes,
                        std::string_view what);

}  // namespace caldera
