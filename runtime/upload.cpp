// The two ways into device memory, and the one out of it. Staging is one buffer used again and
// again, so that a large model takes little host-visible memory on its way.
#include "runtime/upload.h"

#include <algorithm>
#include <vector>

#include "runtime/parallel.h"
#include "runtime/recorder.h"

namespace caldera {

namespace {

// One staging buffer takes as many items as fit in it, then they are copied at one stroke.
Status upload_staged(const std::shared_ptr<DeviceImpl>& device, const Blocks& blocks,
                     std::span<const UploadItem> items) {
  uint64_t largest = 0;
  uint64_t total = 0;
  for (const UploadItem& item : items) {
    largest = std::max(largest, item.size);
    total += item.size;
  }
  if (total == 0) return {};
  const uint64_t capacity = std::max(largest, std::min(total, kStagingPortion));
  CALDERA_TRY_ASSIGN(const Buffer staging, Buffer::create(device, capacity, MemoryKind::kUpload,
                                                          "staging for the weights"));
  for (size_t next = 0; next < items.size();) {
    CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device));
    uint64_t used = 0;
    std::vector<std::pair<const UploadItem*, uint64_t>> portion;  // With offsets in staging.
    for (; next < items.size() && used + items[next].size <= capacity; ++next) {
      if (items[next].size == 0) continue;
      portion.emplace_back(&items[next], used);
      used += items[next].size;
    }
    parallel_for(static_cast<int64_t>(portion.size()), [&](int64_t i) {
      const auto& [item, offset] = portion[i];
      item->write(staging.mapped().subspan(offset, item->size));
    });
    for (const auto& [item, offset] : portion) {
      const BufferRange to = blocks.at(item->place, item->size);
      recorder.copy(staging, offset, *to.buffer, to.offset, to.size);
    }
    CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
    CALDERA_TRY(commands.run());
  }
  return {};
}

}  // namespace

Status download(const std::shared_ptr<DeviceImpl>& device, const Blocks& blocks,
                std::span<const DownloadItem> items, uint64_t portion_bytes) {
  uint64_t largest = 0;
  uint64_t total = 0;
  for (const DownloadItem& item : items) {
    largest = std::max(largest, item.size);
    total += item.size;
  }
  if (total == 0) return {};
  const uint64_t capacity = std::max(largest, std::min(total, portion_bytes));
  CALDERA_TRY_ASSIGN(const Buffer staging, Buffer::create(device, capacity, MemoryKind::kReadback,
                                                          "a copy of what is in device memory"));
  for (size_t next = 0; next < items.size();) {
    CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device));
    std::vector<std::pair<const DownloadItem*, uint64_t>> portion;  // With offsets in staging.
    for (uint64_t used = 0; next < items.size() && used + items[next].size <= capacity; ++next) {
      const BufferRange from = blocks.at(items[next].place, items[next].size);
      recorder.copy(*from.buffer, from.offset, staging, used, from.size);
      portion.emplace_back(&items[next], used);
      used += items[next].size;
    }
    CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
    CALDERA_TRY(commands.run());
    parallel_for(static_cast<int64_t>(portion.size()), [&](int64_t i) {
      const auto& [item, offset] = portion[static_cast<size_t>(i)];
      item->read(staging.mapped().subspan(offset, item->size));
    });
  }
  return {};
}

Status upload(const std::shared_ptr<DeviceImpl>& device, const Blocks& blocks,
              std::span<const UploadItem> items) {
  const auto hidden = [](const Buffer& block) { return block.mapped().empty(); };
  if (std::ranges::any_of(blocks.buffers(), hidden)) return upload_staged(device, blocks, items);
  parallel_for(static_cast<int64_t>(items.size()), [&](int64_t i) {
    const BufferRange to = blocks.at(items[i].place, items[i].size);
    items[i].write(to.buffer->mapped().subspan(to.offset, to.size));
  });
  return {};
}

}  // namespace caldera
