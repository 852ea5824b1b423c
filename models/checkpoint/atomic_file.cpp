// Atomic replacement by POSIX calls: O_EXCL for a name of one's own, fsync of the file before the
// rename and of its folder after.
#include "models/checkpoint/atomic_file.h"

#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace caldera {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPendingLimit = 1 << 16;

}  // namespace

Error AtomicFile::error(const std::string& what, int number) const {
  return {ErrorCode::kIo,
          path_.string() + ": " + what + ": " + std::generic_category().message(number)};
}

Result<AtomicFile> AtomicFile::create(const fs::path& path) {
  AtomicFile file;
  std::error_code failure;
  // Writing through a link replaces what it points to, not the link.
  file.path_ = fs::is_symlink(path, failure) ? fs::weakly_canonical(path, failure) : path;
  if (failure || file.path_.empty()) file.path_ = path;
  const fs::file_status status = fs::status(file.path_, failure);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return Error{ErrorCode::kInvalidInput,
                 path.string() + ": is not a file, so it cannot be replaced by one"};
  }
  mode_t mode = 0666;  // Less the umask.
  struct stat old = {};
  const bool replaces = ::stat(file.path_.c_str(), &old) == 0;
  if (replaces) mode = old.st_mode & 0777;

  std::random_device random;
  for (int attempt = 0; attempt < 16; ++attempt) {
    fs::path temporary = file.path_;
    std::string name = ".";
    name += file.path_.filename().string() + "." + std::to_string(random()) + ".tmp";
    temporary.replace_filename(name);
    file.descriptor_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file.descriptor_ >= 0) {
      file.temporary_ = std::move(temporary);
      if (replaces) (void)::fchmod(file.descriptor_, mode);  // Undoes the umask; a nicety.
      return file;
    }
    if (errno != EEXIST) break;
  }
  return file.error("cannot be written", errno);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      position_(other.position_),
      pending_(std::move(other.pending_)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  position_ += bytes.size();
  if (pending_.size() + bytes.size() <= kPendingLimit) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    return {};
  }
  CALDERA_TRY(flush());
  return write_through(bytes);
}

Status AtomicFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text)));
}

Status AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return error("cannot be written", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status AtomicFile::flush() {
  CALDERA_TRY(write_through(pending_));
  pending_.clear();
  return {};
}

Status AtomicFile::commit() {
  CALDERA_TRY(flush());
  if (::fsync(descriptor_) != 0) return error("cannot be made to last", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) return error("cannot be written", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return error("cannot be put in its place", errno);
  }
  temporary_.clear();
  // So that the new name lasts too; some file systems know no fsync of a folder.
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  if (const int entry = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); entry >= 0) {
    (void)::fsync(entry);
    ::close(entry);
  }
  return {};
}

}  // namespace caldera
