// What stands between the file formats and callers: nothing is thrown past it, and names are
// checked before they are written.
#pragma once

#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "caldera/checkpoint.h"
#include "caldera/result.h"

namespace caldera {

// Runs `body`; what the standard library throws becomes an error that names `path`.
template <typename R, typename Body>
R at_boundary(const std::filesystem::path& path, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory, path.string() + ": does not fit in memory"};
  } catch (const std::exception& failure) {
    return Error{ErrorCode::kIo, path.string() + ": " + failure.what()};
  }
}

// That names are UTF-8 and stand once each.
Status check_names(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

}  // namespace caldera
