// A file that is read by offset, and blocks of memory that tensors share. Storages are read into
// blocks of their own rather than mapped: a file that shrinks under a map kills the process, legacy
// checkpoints align nothing, and what is not asked for (an optimizer's state) is never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>

#include "caldera/result.h"

namespace caldera {

// Bytes with what keeps them alive; the first is aligned for any element and for copies to a GPU.
struct SharedBytes {
  std::span<std::byte> bytes;
  std::shared_ptr<const void> owner;
};

// Throws std::bad_alloc, as containers do; the entries of this library catch it.
SharedBytes allocate_shared_bytes(size_t size);

class InputFile {
 public:
  static Result<InputFile> open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  // Fills `bytes` from `offset`. A range that passes the end is an error, not a short read.
  Status read(uint64_t offset, std::span<std::byte> bytes);
  // The range as a block of its own.
  Result<SharedBytes> read_block(uint64_t offset, uint64_t size);

  // An error about this file: "path: what".
  Error error(const std::string& what, ErrorCode code = ErrorCode::kInvalidInput) const;

 private:
  std::filesystem::path path_;
  std::ifstream stream_;
  uint64_t size_ = 0;
};

}  // namespace caldera
