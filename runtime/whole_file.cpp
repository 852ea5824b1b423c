// A temporary file of a name that nobody else uses, then a rename.
#include "runtime/whole_file.h"

#include <atomic>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

namespace caldera {

namespace fs = std::filesystem;

Status write_whole_file(const fs::path& path, std::span<const char> bytes, std::string_view what) {
  static std::atomic<uint64_t> count = 0;  // Names differ between threads of this process.
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const fs::path temporary = fmt::format("{}.{}.{}", path.string(), ::getpid(), count++);
  {
    std::ofstream file(temporary, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) error = std::make_error_code(std::errc::io_error);
  }
  if (!error) fs::rename(temporary, path, error);
  if (!error) return {};
  std::error_code ignored;
  fs::remove(temporary, ignored);
  return Error{ErrorCode::kIo,
               fmt::format("could not write {} {}: {}", what, path.string(), error.message())};
}

}  // namespace caldera
