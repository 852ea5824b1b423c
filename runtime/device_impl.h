// An open Vulkan device: its queue behind a lock, its function table, its pipelines.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "caldera/device.h"

#include "runtime/capabilities.h"
#include "runtime/instance.h"
#include "runtime/physical_device.h"
#include "runtime/pipeline_cache.h"
#include "runtime/tuning.h"

namespace caldera {

// What a list of commands is made with.
struct CommandResources {
  VkCommandPool pool = VK_NULL_HANDLE;
  VkFence fence = VK_NULL_HANDLE;
};

// Since the device was opened.
struct DeviceCounts {
  uint64_t buffers = 0;
  uint64_t command_pools = 0;  // Made: those taken again are not counted again.
  uint64_t fences = 0;
  uint64_t submits = 0;  // Submits of command buffers.
  uint64_t waits = 0;    // Waits of the host for the device.
};

class DeviceImpl : public std::enable_shared_from_this<DeviceImpl> {
 public:
  static Result<std::shared_ptr<DeviceImpl>> open(const DeviceOptions& options);
  ~DeviceImpl();
  DeviceImpl(const DeviceImpl&) = delete;
  DeviceImpl& operator=(const DeviceImpl&) = delete;

  VkDevice handle() const { return handle_; }
  const VolkDeviceTable& vk() const { return table_; }
  const DeviceInfo& info() const { return physical_.info; }
  const Capabilities& capabilities() const { return physical_.capabilities; }
  const VkPhysicalDeviceMemoryProperties& memory_properties() const { return physical_.memory; }
  uint32_t queue_family() const { return physical_.queue_family; }
  uint64_t available_memory() const;
  // From now on as if the device had no more than this, and no larger blocks, so that tests need
  // not fill it.
  void limit_memory(uint64_t bytes, uint64_t block_bytes = UINT64_MAX);
  PipelineCache& pipelines() { return *pipelines_; }
  TuningStore& tuning() { return *tuning_; }
  // A file of what was measured of this device under this build of its driver; empty where nothing
  // is kept.
  std::filesystem::path measurements_file(std::string_view name) const;

  // A command pool and a fence, those of a list that is gone where there are any. Thread-safe, like
  // give_back().
  Result<CommandResources> take_commands();
  // The pool has no command buffer, and nothing that waits on the fence or signals it is under way.
  // Where they are not `reusable` they are destroyed.
  void give_back(CommandResources resources, bool reusable);

  // Submits in order, each command buffer on its own so that none keeps the device for long, and
  // signals `fence`, if there is one, after the last and all that was submitted before.
  // Thread-safe.
  Status submit(std::span<const VkCommandBuffer> commands, VkFence fence);
  // Waits for the fence and resets it.
  Status wait(VkFence fence);

  // Seconds that a unit of work takes (what a unit is, is the caller's affair): a guess by the type
  // of the device until one was measured.
  double pace() const { return pace_; }
  void set_pace(double seconds) { pace_ = seconds; }

  void count_allocation(int64_t bytes);
  uint64_t allocation_count() const { return allocation_count_; }
  uint64_t allocated_bytes() const { return allocated_bytes_; }
  DeviceCounts counts() const;

 private:
  DeviceImpl() = default;
  Status create_device();
  void destroy(CommandResources resources);
  Error lost() const;

  std::shared_ptr<Instance> instance_;
  PhysicalDevice physical_;
  std::filesystem::path cache_dir_;
  VkDevice handle_ = VK_NULL_HANDLE;
  VkQueue queue_ = VK_NULL_HANDLE;
  VolkDeviceTable table_{};
  std::mutex queue_mutex_;
  std::atomic<bool> lost_ = false;  // Sticky: a lost device never comes back.
  std::atomic<double> pace_ = 0;
  std::atomic<uint64_t> memory_limit_ = UINT64_MAX;
  std::atomic<uint64_t> allocation_count_ = 0;
  std::atomic<uint64_t> allocated_bytes_ = 0;
  std::atomic<uint64_t> command_pools_ = 0;
  std::atomic<uint64_t> fences_ = 0;
  std::atomic<uint64_t> submits_ = 0;
  std::atomic<uint64_t> waits_ = 0;
  std::mutex resources_mutex_;
  std::vector<CommandResources> resources_;  // Not in use.
  std::unique_ptr<PipelineCache> pipelines_;
  std::unique_ptr<TuningStore> tuning_;
};

}  // namespace caldera
