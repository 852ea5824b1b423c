// Records dispatches into command buffers that are kept and submitted again and again. The only
// place that emits barriers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/buffer.h"
#include "runtime/device_impl.h"
#include "runtime/hazard_tracker.h"

namespace caldera {

struct DispatchCommand {
  const Pipeline* pipeline = nullptr;
  std::span<const BufferRange> bindings;      // By binding number.
  std::span<const std::byte> push_constants;  // Those after GridParams.
  std::array<uint32_t, 3> workgroups{1, 1, 1};
  uint32_t first_row = 0;  // The first row of workgroups, where this is a part of a dispatch.
};

// What a Recorder made: command buffers with all that they refer to but buffers and pipelines,
// which must outlive it. Submitted by one thread at a time.
class CommandList {
 public:
  CommandList() = default;
  CommandList(CommandList&& other) noexcept { swap(other); }
  CommandList& operator=(CommandList&& other) noexcept {
    CommandList(std::move(other)).swap(*this);
    return *this;
  }
  ~CommandList();

  // Submits and waits for the end.
  Status run();
  // The same in two steps. Between them, nothing else may be done with the list.
  Status submit();
  Status wait();
  // Submits the first `count` command buffers alone; submit() then submits the others.
  Status submit_first(uint32_t count);
  // Waits for those where the others are not to follow. Else, as after wait(), the list may be
  // submitted again.
  Status drain();

  // Seconds from the first timestamp() to each of them, by the last run. Empty where none was
  // recorded.
  Status timestamps(std::vector<double>& seconds) const;

  uint32_t dispatches() const { return dispatches_; }
  uint32_t barriers() const { return barriers_; }
  uint32_t submits() const { return static_cast<uint32_t>(commands_.size()); }

 private:
  friend class Recorder;
  void swap(CommandList& other) noexcept;

  std::shared_ptr<DeviceImpl> device_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  std::vector<VkCommandBuffer> commands_;
  uint32_t submitted_ = 0;  // How many of commands_.
  bool failed_ = false;     // The fence may be in any state.
  std::vector<VkDescriptorPool> descriptor_pools_;
  std::vector<VkBufferView> views_;
  VkFence fence_ = VK_NULL_HANDLE;
  VkQueryPool queries_ = VK_NULL_HANDLE;
  uint32_t timestamps_ = 0;
  uint32_t dispatches_ = 0;
  uint32_t barriers_ = 0;
};

class Recorder {
 public:
  static Result<Recorder> create(const std::shared_ptr<DeviceImpl>& device);

  Status dispatch(const DispatchCommand& command);
  void copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset,
            uint64_t size);
  void fill(const Buffer& buffer, uint32_t word);
  // From here on timestamp() may be called `most` times. An error where the queue has no clock.
  Status enable_timestamps(uint32_t most);
  // Notes the time at which all before it has ended.
  void timestamp();
  // What follows goes into another command buffer, so that a device gets work in portions.
  Status split();
  // Makes all writes visible to the host.
  Result<CommandList> finish() &&;

 private:
  Recorder() = default;
  Status begin_commands();
  Result<VkDescriptorSet> set_for(const DispatchCommand& command);
  Result<VkDescriptorSet> make_set(const DispatchCommand& command);
  Result<VkBufferView> make_view(const BufferRange& range, VkFormat format);
  void order(std::span<const Access> accesses);

  CommandList list_;
  HazardTracker hazards_;
  std::vector<Access> accesses_;  // Of the dispatch being recorded.
  uint32_t sets_left_ = 0;        // In the newest descriptor pool.
  // The dispatch before: the next may be another part of it.
  VkDescriptorSet set_ = VK_NULL_HANDLE;
  VkDescriptorSetLayout set_layout_ = VK_NULL_HANDLE;
  std::vector<BufferRange> set_ranges_;
};

}  // namespace caldera
