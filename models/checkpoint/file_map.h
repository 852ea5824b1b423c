// A whole file mapped into memory, read-only: its bytes are read when they are touched, and the
// system may drop them again. What a platform has for this is known here alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace caldera {

// The first of `size` bytes, as long as it is held; null where the file cannot be mapped, or no
// longer has that size. A file that is cut short in place afterwards ends the process when what is
// gone is touched (SIGBUS); one that is replaced by renaming stays as it was mapped.
std::shared_ptr<const std::byte> map_file(const std::filesystem::path& path, uint64_t size);

}  // namespace caldera
