#include "tests/support/paths.h"

#include <atomic>
#include <cstdlib>

#include <unistd.h>

namespace caldera::test {

namespace fs = std::filesystem;

std::optional<fs::path> data_dir() {
  if (const char* given = std::getenv("CALDERA_DATA"); given && *given) {
    return fs::is_directory(given) ? std::optional<fs::path>(given) : std::nullopt;
  }
  const fs::path beside = fs::path(CALDERA_SOURCE_DIR) / ".." / "shared" / "data";
  return fs::is_directory(beside) ? std::optional<fs::path>(beside) : std::nullopt;
}

ScratchDir::ScratchDir() {
  static std::atomic<int> count = 0;
  path_ = fs::temp_directory_path() /
          ("caldera-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
  fs::create_directories(path_);
}

ScratchDir::~ScratchDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace caldera::test
