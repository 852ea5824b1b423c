// Host bytes into device memory: written in place where the host sees that memory, else through
// a staging buffer in portions.
#pragma once

#include <functional>

#include "runtime/blocks.h"

namespace caldera {

struct UploadItem {
  Place place;
  uint64_t size = 0;
  // Writes all `size` bytes of the item. Items are written from several threads.
  std::function<void(std::span<std::byte>)> write;
};

Status upload(const std::shared_ptr<DeviceImpl>& device, const Blocks& blocks,
              std::span<const UploadItem> items);

}  // namespace caldera
