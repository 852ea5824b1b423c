// One buffer after the other.
#include "runtime/blocks.h"

namespace caldera {

Result<Blocks> Blocks::create(const std::shared_ptr<DeviceImpl>& device,
                              std::span<const uint64_t> bytes, std::string_view what) {
  Blocks blocks;
  for (const uint64_t size : bytes) {
    CALDERA_TRY_ASSIGN(Buffer buffer, Buffer::create(device, size, MemoryKind::kDevice, what));
    blocks.buffers_.push_back(std::move(buffer));
  }
  return blocks;
}

}  // namespace caldera
