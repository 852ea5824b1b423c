// Recording, with barriers where hazards are.
#include "runtime/recorder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "shaders/common/grid_params.h"

namespace caldera {

namespace {

constexpr uint32_t kSetsPerPool = 128;
constexpr uint32_t kMaxBindings = 8;  // Of any shader; what a pool is sized by.

constexpr VkPipelineStageFlags kDeviceStages =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags kDeviceWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags kDeviceReads = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

uint64_t buffer_id(const Buffer& buffer) {
  return reinterpret_cast<uint64_t>(buffer.handle());  // NOLINT: a handle is a number.
}

VkFormat texel_format(BindingType type) {
  switch (type) {
    case BindingType::kTexelsF16:
      return VK_FORMAT_R16G16B16A16_SFLOAT;
    case BindingType::kTexelsU16:
      return VK_FORMAT_R16G16B16A16_UINT;
    default:
      return VK_FORMAT_R32G32B32A32_SFLOAT;
  }
}

Access access(const Buffer& buffer, uint64_t offset, uint64_t size, bool write) {
  return {buffer_id(buffer), offset, offset + size, write};
}

}  // namespace

CommandList::~CommandList() {
  if (!device_) return;
  const auto& vk = device_->vk();
  for (const VkBufferView view : views_) vk.vkDestroyBufferView(device_->handle(), view, nullptr);
  for (const VkDescriptorPool pool : descriptor_pools_) {
    vk.vkDestroyDescriptorPool(device_->handle(), pool, nullptr);
  }
  if (queries_) vk.vkDestroyQueryPool(device_->handle(), queries_, nullptr);
  if (!pool_) return;
  if (!commands_.empty()) {
    vk.vkFreeCommandBuffers(device_->handle(), pool_, submits(), commands_.data());
  }
  device_->give_back({pool_, fence_}, !failed_);
}

void CommandList::swap(CommandList& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(pool_, other.pool_);
  std::swap(commands_, other.commands_);
  std::swap(submitted_, other.submitted_);
  std::swap(failed_, other.failed_);
  std::swap(descriptor_pools_, other.descriptor_pools_);
  std::swap(views_, other.views_);
  std::swap(fence_, other.fence_);
  std::swap(queries_, other.queries_);
  std::swap(timestamps_, other.timestamps_);
  std::swap(dispatches_, other.dispatches_);
  std::swap(barriers_, other.barriers_);
}

Status CommandList::submit() {
  Status status = device_->submit(std::span(commands_).subspan(submitted_), fence_);
  failed_ = failed_ || !status.ok();
  return status;
}

Status CommandList::wait() {
  submitted_ = 0;
  Status status = device_->wait(fence_);
  failed_ = failed_ || !status.ok();
  return status;
}

Status CommandList::submit_first(uint32_t count) {
  Status status = device_->submit(std::span(commands_).first(count), VK_NULL_HANDLE);
  if (status.ok()) submitted_ = count;
  return status;
}

Status CommandList::drain() {
  submitted_ = submits();
  CALDERA_TRY(submit());
  return wait();
}

Status CommandList::run() {
  CALDERA_TRY(submit());
  return wait();
}

Status CommandList::timestamps(std::vector<double>& seconds) const {
  static_assert(sizeof(double) == sizeof(uint64_t));
  seconds.resize(timestamps_);
  if (seconds.empty()) return {};
  // Ticks first, in the same place.
  const VkResult result = device_->vk().vkGetQueryPoolResults(
      device_->handle(), queries_, 0, timestamps_, seconds.size() * sizeof(uint64_t),
      seconds.data(), sizeof(uint64_t), VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
  if (result != VK_SUCCESS) return vk_error(result, "could not read timestamps");
  const Capabilities& capabilities = device_->capabilities();
  const uint64_t counted = UINT64_MAX >> (64 - capabilities.timestamp_bits);
  const auto first = std::bit_cast<uint64_t>(seconds.front());
  for (double& time : seconds) {
    time = static_cast<double>((std::bit_cast<uint64_t>(time) - first) & counted) *
           capabilities.timestamp_seconds;
  }
  return {};
}

Result<Recorder> Recorder::create(const std::shared_ptr<DeviceImpl>& device) {
  Recorder recorder;
  CommandList& list = recorder.list_;
  list.device_ = device;
  CALDERA_TRY_ASSIGN(const CommandResources resources, device->take_commands());
  list.pool_ = resources.pool;
  list.fence_ = resources.fence;
  CALDERA_TRY(recorder.begin_commands());
  return recorder;
}

Status Recorder::begin_commands() {
  const auto& vk = list_.device_->vk();
  const VkCommandBufferAllocateInfo allocate{
      .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
      .commandPool = list_.pool_,
      .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
      .commandBufferCount = 1};
  VkCommandBuffer commands = VK_NULL_HANDLE;
  VkResult result = vk.vkAllocateCommandBuffers(list_.device_->handle(), &allocate, &commands);
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .pInheritanceInfo = nullptr};
  if (result == VK_SUCCESS) result = vk.vkBeginCommandBuffer(commands, &begin);
  if (result != VK_SUCCESS) return vk_error(result, "could not record commands");
  list_.commands_.push_back(commands);
  return {};
}

Status Recorder::split() {
  const VkResult result = list_.device_->vk().vkEndCommandBuffer(list_.commands_.back());
  if (result != VK_SUCCESS) return vk_error(result, "could not record commands");
  return begin_commands();
}

// Barriers reach across command buffers of one queue, so hazards pending at a split stay pending.
void Recorder::order(std::span<const Access> accesses) {
  if (hazards_.needs_barrier(accesses)) {
    const VkMemoryBarrier barrier{.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                  .srcAccessMask = kDeviceWrites,
                                  .dstAccessMask = kDeviceReads | kDeviceWrites};
    list_.device_->vk().vkCmdPipelineBarrier(list_.commands_.back(), kDeviceStages, kDeviceStages,
                                             0, 1, &barrier, 0, nullptr, 0, nullptr);
    hazards_.clear();
    ++list_.barriers_;
  }
  hazards_.add(accesses);
}

Result<VkBufferView> Recorder::make_view(const BufferRange& range, VkFormat format) {
  const VkBufferViewCreateInfo info{.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                    .buffer = range.buffer->handle(),
                                    .format = format,
                                    .offset = range.offset,
                                    .range = range.size};
  VkBufferView view = VK_NULL_HANDLE;
  const VkResult result =
      list_.device_->vk().vkCreateBufferView(list_.device_->handle(), &info, nullptr, &view);
  if (result != VK_SUCCESS) return vk_error(result, "could not view a buffer");
  list_.views_.push_back(view);
  return view;
}

Result<VkDescriptorSet> Recorder::make_set(const DispatchCommand& command) {
  DeviceImpl& device = *list_.device_;
  if (sets_left_ == 0) {
    const std::array sizes = {
        VkDescriptorPoolSize{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, kSetsPerPool * kMaxBindings},
        VkDescriptorPoolSize{VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER, kSetsPerPool * kMaxBindings}};
    const VkDescriptorPoolCreateInfo info{.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                          .maxSets = kSetsPerPool,
                                          .poolSizeCount = sizes.size(),
                                          .pPoolSizes = sizes.data()};
    VkDescriptorPool pool = VK_NULL_HANDLE;
    const VkResult result =
        device.vk().vkCreateDescriptorPool(device.handle(), &info, nullptr, &pool);
    if (result != VK_SUCCESS) return vk_error(result, "could not make descriptors");
    list_.descriptor_pools_.push_back(pool);
    sets_left_ = kSetsPerPool;
  }
  const VkDescriptorSetAllocateInfo allocate{
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
      .descriptorPool = list_.descriptor_pools_.back(),
      .descriptorSetCount = 1,
      .pSetLayouts = &command.pipeline->set_layout};
  VkDescriptorSet set = VK_NULL_HANDLE;
  const VkResult result = device.vk().vkAllocateDescriptorSets(device.handle(), &allocate, &set);
  if (result != VK_SUCCESS) return vk_error(result, "could not make descriptors");
  --sets_left_;

  const auto& reflected = command.pipeline->reflection->bindings;
  std::array<VkDescriptorBufferInfo, kMaxBindings> buffers{};
  std::array<VkBufferView, kMaxBindings> views{};
  std::array<VkWriteDescriptorSet, kMaxBindings> writes{};
  for (uint32_t i = 0; i < reflected.size(); ++i) {
    const BufferRange& range = command.bindings[i];
    const bool is_view = reflected[i].type != BindingType::kStorageBuffer;
    if (is_view) {
      CALDERA_TRY_ASSIGN(views[i], make_view(range, texel_format(reflected[i].type)));
    } else {
      buffers[i] = {range.buffer->handle(), range.offset, range.size};
    }
    writes[i] = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                 .dstSet = set,
                 .dstBinding = i,
                 .dstArrayElement = 0,
                 .descriptorCount = 1,
                 .descriptorType = is_view ? VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER
                                           : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                 .pImageInfo = nullptr,
                 .pBufferInfo = is_view ? nullptr : &buffers[i],
                 .pTexelBufferView = is_view ? &views[i] : nullptr};
  }
  device.vk().vkUpdateDescriptorSets(device.handle(), static_cast<uint32_t>(reflected.size()),
                                     writes.data(), 0, nullptr);
  return set;
}

// Parts of one dispatch bind the same.
Result<VkDescriptorSet> Recorder::set_for(const DispatchCommand& command) {
  if (set_ && set_layout_ == command.pipeline->set_layout &&
      std::ranges::equal(set_ranges_, command.bindings)) {
    return set_;
  }
  CALDERA_TRY_ASSIGN(set_, make_set(command));
  set_layout_ = command.pipeline->set_layout;
  set_ranges_.assign(command.bindings.begin(), command.bindings.end());
  return set_;
}

Status Recorder::dispatch(const DispatchCommand& command) {
  const ShaderReflection& reflection = *command.pipeline->reflection;
  assert(command.bindings.size() == reflection.bindings.size());
  assert(reflection.bindings.size() <= kMaxBindings);
  const auto& [columns, rows, depth] = command.workgroups;
  assert(depth == 1);  // A portion is told where it begins as a number of columns and rows.
  const shader::GridParams grid{command.first_row * columns};
  const size_t push_bytes = sizeof(grid) + command.push_constants.size();
  std::array<std::byte, shader::kMaxPushConstantBytes> push;
  assert(push_bytes == reflection.push_constant_bytes && push_bytes <= push.size());
  std::memcpy(push.data(), &grid, sizeof(grid));
  std::ranges::copy(command.push_constants, push.begin() + sizeof(grid));

  accesses_.clear();
  for (size_t i = 0; i < reflection.bindings.size(); ++i) {
    const BufferRange& range = command.bindings[i];
    accesses_.push_back(
        access(*range.buffer, range.offset, range.size, reflection.bindings[i].writes));
  }
  order(accesses_);

  CALDERA_TRY_ASSIGN(const VkDescriptorSet set, set_for(command));
  const auto& vk = list_.device_->vk();
  const VkCommandBuffer commands = list_.commands_.back();
  vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, command.pipeline->handle);
  vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, command.pipeline->layout, 0,
                             1, &set, 0, nullptr);
  vk.vkCmdPushConstants(commands, command.pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                        static_cast<uint32_t>(push_bytes), push.data());
  vk.vkCmdDispatch(commands, columns, rows, depth);
  ++list_.dispatches_;
  return {};
}

void Recorder::copy(const Buffer& from, uint64_t from_offset, const Buffer& to, uint64_t to_offset,
                    uint64_t size) {
  const std::array accesses = {access(from, from_offset, size, false),
                               access(to, to_offset, size, true)};
  order(accesses);
  const VkBufferCopy region{.srcOffset = from_offset, .dstOffset = to_offset, .size = size};
  list_.device_->vk().vkCmdCopyBuffer(list_.commands_.back(), from.handle(), to.handle(), 1,
                                      &region);
}

void Recorder::fill(const Buffer& buffer, uint32_t word) {
  const std::array accesses = {access(buffer, 0, buffer.size(), true)};
  order(accesses);
  list_.device_->vk().vkCmdFillBuffer(list_.commands_.back(), buffer.handle(), 0, VK_WHOLE_SIZE,
                                      word);
}

Status Recorder::enable_timestamps(uint32_t most) {
  DeviceImpl& device = *list_.device_;
  if (device.capabilities().timestamp_bits == 0) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("'{}' has no clock to time kernels by", device.info().name)};
  }
  const VkQueryPoolCreateInfo info{.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                   .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                   .queryCount = most};
  const VkResult result =
      device.vk().vkCreateQueryPool(device.handle(), &info, nullptr, &list_.queries_);
  if (result != VK_SUCCESS) return vk_error(result, "could not prepare timestamps");
  device.vk().vkCmdResetQueryPool(list_.commands_.back(), list_.queries_, 0, most);
  return {};
}

void Recorder::timestamp() {
  list_.device_->vk().vkCmdWriteTimestamp(list_.commands_.back(),
                                          VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, list_.queries_,
                                          list_.timestamps_++);
}

Result<CommandList> Recorder::finish() && {
  const auto& vk = list_.device_->vk();
  // To the host, and to whatever is submitted next: a fence alone makes writes available, not
  // visible.
  const VkMemoryBarrier barrier{
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = kDeviceWrites,
      .dstAccessMask = VK_ACCESS_HOST_READ_BIT | kDeviceReads | kDeviceWrites};
  vk.vkCmdPipelineBarrier(list_.commands_.back(), kDeviceStages,
                          kDeviceStages | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, nullptr, 0,
                          nullptr);
  const VkResult result = vk.vkEndCommandBuffer(list_.commands_.back());
  if (result != VK_SUCCESS) return vk_error(result, "could not record commands");
  return std::move(list_);
}

}  // namespace caldera
