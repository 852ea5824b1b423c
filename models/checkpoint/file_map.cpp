// mmap where there is POSIX; elsewhere nothing is mapped, and files are read.
#include "models/checkpoint/file_map.h"

#include <limits>

#if __has_include(<sys/mman.h>)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace caldera {

#if __has_include(<sys/mman.h>)

std::shared_ptr<const std::byte> map_file(const std::filesystem::path& path, uint64_t size) {
  if (size == 0 || size > std::numeric_limits<size_t>::max()) return nullptr;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat facts {};
  void* start = MAP_FAILED;
  if (fstat(file, &facts) == 0 && facts.st_size >= 0 &&
      static_cast<uint64_t>(facts.st_size) == size) {
    start = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_PRIVATE, file, 0);
  }
  close(file);
  if (start == MAP_FAILED) return nullptr;
  // Should making the control block throw, shared_ptr calls the deleter itself.
  return {static_cast<const std::byte*>(start), [size](const std::byte* first) {
            munmap(const_cast<std::byte*>(first), static_cast<size_t>(size));
          }};
}

#else

std::shared_ptr<const std::byte> map_file(const std::filesystem::path&, uint64_t) {
  return nullptr;
}

#endif

}  // namespace caldera
