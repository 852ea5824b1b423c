// A file that is read by offset, and bytes that tensors share. What describes a checkpoint
// (headers, pickles) is read into memory of its own; the elements of its tensors are viewed in a
// map of the file, so that they take no memory that the system cannot take back, and what is not
// asked for (an optimizer's state) is never read. Where a file cannot be mapped, views are read as
// well.
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

// Bytes with what keeps them alive.
struct SharedBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

// The same while they are being written; the first is aligned for any element.
struct NewBytes {
  std::span<std::byte> bytes;
  std::shared_ptr<const void> owner;
  operator SharedBytes() const { return {bytes, owner}; }
};

// Throws std::bad_alloc, as containers do; the entries of this library catch it.
NewBytes allocate_shared_bytes(size_t size);

enum class FileAccess : uint8_t { kMap, kRead };

class InputFile {
 public:
  // kRead: as where files cannot be mapped.
  static Result<InputFile> open(const std::filesystem::path& path,
                                FileAccess access = FileAccess::kMap);

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  // Fills `bytes` from `offset`. A range that passes the end is an error, not a short read.
  Status read(uint64_t offset, std::span<std::byte> bytes);
  // The range in memory of its own, which no other process can change.
  Result<NewBytes> read_block(uint64_t offset, uint64_t size);
  // The range in the map if it is aligned to `alignment` bytes there; else as read_block().
  Result<SharedBytes> view(uint64_t offset, uint64_t size, size_t alignment = 1);

  // An error about this file: "path: what".
  Error error(const std::string& what, ErrorCode code = ErrorCode::kInvalidInput) const;

 private:
  std::filesystem::path path_;
  std::ifstream stream_;
  uint64_t size_ = 0;
  FileAccess access_ = FileAccess::kMap;
  std::shared_ptr<const std::byte> map_;  // Of the whole file, from the first view on.
};

}  // namespace caldera
