// Files read by offset, with the standard library, or viewed in a map.
#include "models/checkpoint/input_file.h"

#include <algorithm>
#include <new>
#include <system_error>

#include "models/checkpoint/file_map.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace fs = std::filesystem;

NewBytes allocate_shared_bytes(size_t size) {
  constexpr std::align_val_t kAlignment{64};
  auto* start = static_cast<std::byte*>(::operator new(std::max<size_t>(size, 1), kAlignment));
  // Should making the control block throw, shared_ptr calls the deleter itself.
  std::shared_ptr<const void> owner(start, [](std::byte* p) { ::operator delete(p, kAlignment); });
  return {{start, size}, std::move(owner)};
}

Result<InputFile> InputFile::open(const fs::path& path, FileAccess access) {
  InputFile file;
  file.access_ = access;
  file.path_ = path;
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (!fs::exists(status)) {
    return file.error(failure && status.type() != fs::file_type::not_found
                          ? "cannot be opened: " + failure.message()
                          : "there is no such file");
  }
  if (!fs::is_regular_file(status)) return file.error("is not a file");
  file.size_ = fs::file_size(path, failure);
  if (failure) return file.error("cannot be read: " + failure.message(), ErrorCode::kIo);
  file.stream_.open(path, std::ios::binary);
  if (!file.stream_) return file.error("cannot be opened for reading", ErrorCode::kIo);
  return file;
}

Status InputFile::read(uint64_t offset, std::span<std::byte> bytes) {
  if (offset > size_ || bytes.size() > size_ - offset) return error("is cut short");
  if (bytes.empty()) return {};
  stream_.clear();
  stream_.seekg(static_cast<std::streamoff>(offset));
  stream_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream_) return error("cannot be read to its end", ErrorCode::kIo);
  return {};
}

Result<NewBytes> InputFile::read_block(uint64_t offset, uint64_t size) {
  if (offset > size_ || size > size_ - offset) return error("is cut short");
  NewBytes block = allocate_shared_bytes(static_cast<size_t>(size));
  CALDERA_TRY(read(offset, block.bytes));
  return block;
}

Result<SharedBytes> InputFile::view(uint64_t offset, uint64_t size, size_t alignment) {
  if (offset > size_ || size > size_ - offset) return error("is cut short");
  if (!map_ && access_ == FileAccess::kMap) map_ = map_file(path_, size_);
  // The map begins at a page, so its offsets are as aligned as its addresses.
  if (map_ && offset % alignment == 0) {
    return SharedBytes{{map_.get() + offset, static_cast<size_t>(size)}, map_};
  }
  if (!map_) access_ = FileAccess::kRead;
  CALDERA_TRY_ASSIGN(NewBytes block, read_block(offset, size));
  return SharedBytes(block);
}

Error InputFile::error(const std::string& what, ErrorCode code) const {
  return {code, printable(path_.string(), 4096) + ": " + what};
}

}  // namespace caldera
