// The two ways into device memory. Staging is one buffer used again and again, so that uploading a
// large model takes little host-visible memory.
#include "runtime/upload.h"

#include <algorithm>
#include <vector>

#include "runtime/recorder.h"

namespace caldera {

namespace {

constexpr uint64_t kPortion = uint64_t{64} << 20;

// One staging buffer takes as many items as fit in it, then they are copied at one stroke.
Status upload_staged(const std::shared_ptr<DeviceImpl>& device, const Buffer& buffer,
                     std::span<const UploadItem> items) {
  uint64_t largest = 0;
  uint64_t total = 0;
  for (const UploadItem& item : items) {
    largest = std::max(largest, item.size);
    total += item.size;
  }
  if (total == 0) return {};
  const uint64_t capacity = std::max(largest, std::min(total, kPortion));
  CALDERA_TRY_ASSIGN(const Buffer staging, Buffer::create(device, capacity, MemoryKind::kUpload,
                                                          "staging for the weights"));
  for (size_t next = 0; next < items.size();) {
    CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device));
    uint64_t used = 0;
    for (; next < items.size() && used + items[next].size <= capacity; ++next) {
      const UploadItem& item = items[next];
      if (item.size == 0) continue;
      item.write(staging.mapped().subspan(used, item.size));
      recorder.copy(staging, used, buffer, item.offset, item.size);
      used += item.size;
    }
    CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
    CALDERA_TRY(commands.run());
  }
  return {};
}

}  // namespace

Status upload(const std::shared_ptr<DeviceImpl>& device, const Buffer& buffer,
              std::span<const UploadItem> items) {
  if (buffer.mapped().empty()) return upload_staged(device, buffer, items);
  for (const UploadItem& item : items) item.write(buffer.mapped().subspan(item.offset, item.size));
  return {};
}

}  // namespace caldera
