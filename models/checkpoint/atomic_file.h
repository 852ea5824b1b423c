// A file written beside its destination and renamed onto it, so that a reader, a crash or a full
// disk sees the old file or the new one, whole, and never a part.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

namespace caldera {

class AtomicFile {
 public:
  // Begins a file that will stand at `path`. A destination that is there and is no ordinary file
  // (a folder, a device) is refused.
  static Result<AtomicFile> create(const std::filesystem::path& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();  // Without commit(), leaves nothing behind.

  // Appends. After a failure the file can only be dropped.
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  // Bytes appended so far.
  uint64_t position() const { return position_; }

  // Makes the file last (fsync) and puts it in its place.
  Status commit();

 private:
  AtomicFile() = default;
  Status flush();
  Status write_through(std::span<const std::byte> bytes);
  Error error(const std::string& what, int number) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  uint64_t position_ = 0;
  std::vector<std::byte> pending_;  // Small pieces, gathered.
};

}  // namespace caldera
