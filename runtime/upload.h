// Host bytes into device memory and back, many items at a stroke. What goes up is written in place
// where the host sees that memory, else through a staging buffer in portions; what comes down is
// copied into one, since the host reads most device memory slowly where it sees it at all.
#pragma once

#include <functional>

#include "runtime/blocks.h"

namespace caldera {

// Bytes of staging memory, unless a single item takes more.
constexpr uint64_t kStagingPortion = uint64_t{64} << 20;

struct UploadItem {
  Place place;
  uint64_t size = 0;
  // Writes all `size` bytes of the item. Items are written from several threads.
  std::function<void(std::span<std::byte>)> write;
};

Status upload(const std::shared_ptr<DeviceImpl>& device, const Blocks& blocks,
              std::span<const UploadItem> items);

struct DownloadItem {
  Place place;
  uint64_t size = 0;  // Above 0.
  // Is given the item's bytes, which are gone afterwards. Items are read from several threads.
  std::function<void(std::span<const std::byte>)> read;
};

// As all that was submitted before leaves them. One list of copies, and one wait, for as many items
// as `portion_bytes` hold.
Status download(const std::shared_ptr<DeviceImpl>& device, const Blocks& blocks,
                std::span<const DownloadItem> items, uint64_t portion_bytes = kStagingPortion);

}  // namespace caldera
