// Opening devices. Every feature above Vulkan 1.2 is enabled where it is there and needed nowhere.
#include "caldera/device.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/device_impl.h"

namespace caldera {

namespace {

// Unused command pools and fences that a device keeps: one a thread that uploads or reads.
constexpr size_t kKeptResources = 8;

// Of the slowest of a type that may be met, in units of about a multiply-add.
double first_pace(DeviceType type) {
  switch (type) {
    case DeviceType::kDiscrete:
      return 1e-12;
    case DeviceType::kCpu:
      return 2e-10;
    default:
      return 5e-12;
  }
}

}  // namespace

Result<std::shared_ptr<DeviceImpl>> DeviceImpl::open(const DeviceOptions& options) {
  std::shared_ptr<DeviceImpl> device(new DeviceImpl);
  CALDERA_TRY_ASSIGN(device->instance_, Instance::create(options.validation, options.on_message));
  CALDERA_TRY_ASSIGN(const auto devices, list_physical_devices(*device->instance_));
  CALDERA_TRY_ASSIGN(device->physical_, select_physical_device(devices, options.device));
  CALDERA_TRY(device->create_device());
  device->cache_dir_ = options.cache_dir;
  device->pace_ = first_pace(device->info().type);
  device->pipelines_ = std::make_unique<PipelineCache>(device->handle_, device->table_,
                                                       device->physical_, options.cache_dir);
  device->tuning_ = std::make_unique<TuningStore>(device->measurements_file("tuning"));
  return device;
}

Status DeviceImpl::create_device() {
  const Capabilities& can = physical_.capabilities;
  std::vector<const char*> extensions;
  if (physical_.portability_subset) extensions.push_back("VK_KHR_portability_subset");

  VkPhysicalDeviceSubgroupSizeControlFeatures size_control{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
      .subgroupSizeControl = VK_TRUE,
      .computeFullSubgroups = VK_TRUE};
  VkPhysicalDeviceVulkan12Features features12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  features12.shaderFloat16 = can.fp16;
  if (can.subgroup_size_control) {
    features12.pNext = &size_control;
    extensions.push_back(VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  }
#ifdef VK_KHR_cooperative_matrix
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
      .pNext = features12.pNext,
      .cooperativeMatrix = VK_TRUE};
  if (can.cooperative_matrix) {
    features12.pNext = &matrix;
    features12.vulkanMemoryModel = VK_TRUE;  // Which every such shader declares.
    extensions.push_back(VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
  }
#endif
  VkPhysicalDeviceVulkan11Features features11{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &features12};
  features11.storageBuffer16BitAccess = can.storage16;

  const float priority = 1.0f;
  const VkDeviceQueueCreateInfo queue{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = physical_.queue_family,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority};
  const VkDeviceCreateInfo info{.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                .pNext = &features11,
                                .queueCreateInfoCount = 1,
                                .pQueueCreateInfos = &queue,
                                .enabledLayerCount = 0,
                                .ppEnabledLayerNames = nullptr,
                                .enabledExtensionCount = static_cast<uint32_t>(extensions.size()),
                                .ppEnabledExtensionNames = extensions.data(),
                                .pEnabledFeatures = nullptr};
  const VkResult result = vkCreateDevice(physical_.handle, &info, nullptr, &handle_);
  if (result != VK_SUCCESS) {
    return vk_error(result, fmt::format("could not open the device '{}'", physical_.info.name));
  }
  volkLoadDeviceTable(&table_, handle_);
  table_.vkGetDeviceQueue(handle_, physical_.queue_family, 0, &queue_);
  return {};
}

uint64_t DeviceImpl::available_memory() const {
  const uint64_t limit = memory_limit_;
  const uint64_t left = limit > allocated_bytes_ ? limit - allocated_bytes_ : 0;
  return std::min(caldera::available_memory(physical_), left);
}

void DeviceImpl::limit_memory(uint64_t bytes, uint64_t block_bytes) {
  memory_limit_ = bytes;
  uint64_t& most = physical_.capabilities.max_allocation_size;
  most = std::min(most, block_bytes);
}

DeviceImpl::~DeviceImpl() {
  if (pipelines_ && !lost_) (void)pipelines_->save();
  pipelines_.reset();
  if (handle_) {
    table_.vkDeviceWaitIdle(handle_);
    for (const CommandResources& resources : resources_) destroy(resources);
    table_.vkDestroyDevice(handle_, nullptr);
  }
}

std::filesystem::path DeviceImpl::measurements_file(std::string_view name) const {
  if (cache_dir_.empty()) return {};
  return cache_dir_ /
         fmt::format("{}-{}-{}.json", name, physical_.info.uuid, physical_.driver_id());
}

Error DeviceImpl::lost() const {
  return vk_error(VK_ERROR_DEVICE_LOST, fmt::format("'{}' failed", physical_.info.name));
}

Result<CommandResources> DeviceImpl::take_commands() {
  {
    const std::lock_guard lock(resources_mutex_);
    if (!resources_.empty()) {
      const CommandResources resources = resources_.back();
      resources_.pop_back();
      return resources;
    }
  }
  CommandResources made;
  const VkCommandPoolCreateInfo pool{.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .queueFamilyIndex = queue_family()};
  const VkFenceCreateInfo fence{.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
  VkResult result = table_.vkCreateCommandPool(handle_, &pool, nullptr, &made.pool);
  if (result == VK_SUCCESS) result = table_.vkCreateFence(handle_, &fence, nullptr, &made.fence);
  if (result != VK_SUCCESS) {
    destroy(made);
    return vk_error(result, "could not prepare to record commands");
  }
  ++command_pools_;
  ++fences_;
  return made;
}

void DeviceImpl::give_back(CommandResources resources, bool reusable) {
  if (reusable && table_.vkResetCommandPool(handle_, resources.pool, 0) == VK_SUCCESS) {
    const std::lock_guard lock(resources_mutex_);
    if (resources_.size() < kKeptResources) {
      resources_.push_back(resources);
      return;
    }
  }
  destroy(resources);
}

void DeviceImpl::destroy(CommandResources resources) {
  if (resources.fence) table_.vkDestroyFence(handle_, resources.fence, nullptr);
  if (resources.pool) table_.vkDestroyCommandPool(handle_, resources.pool, nullptr);
}

DeviceCounts DeviceImpl::counts() const {
  return {.buffers = allocation_count_,
          .command_pools = command_pools_,
          .fences = fences_,
          .submits = submits_,
          .waits = waits_};
}

Status DeviceImpl::submit(std::span<const VkCommandBuffer> commands, VkFence fence) {
  if (lost_) return lost();
  submits_ += commands.size();
  const std::lock_guard lock(queue_mutex_);
  if (commands.empty()) {
    const VkResult result = table_.vkQueueSubmit(queue_, 0, nullptr, fence);
    if (result == VK_SUCCESS) return {};
    if (result == VK_ERROR_DEVICE_LOST) lost_ = true;
    return vk_error(result, fmt::format("could not submit to '{}'", physical_.info.name));
  }
  for (size_t i = 0; i < commands.size(); ++i) {
    const VkSubmitInfo info{.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                            .waitSemaphoreCount = 0,
                            .pWaitSemaphores = nullptr,
                            .pWaitDstStageMask = nullptr,
                            .commandBufferCount = 1,
                            .pCommandBuffers = &commands[i],
                            .signalSemaphoreCount = 0,
                            .pSignalSemaphores = nullptr};
    const bool last = i + 1 == commands.size();
    const VkResult result = table_.vkQueueSubmit(queue_, 1, &info, last ? fence : VK_NULL_HANDLE);
    if (result != VK_SUCCESS) {
      // What was submitted before must end before the caller may free what it uses.
      if (i > 0 && table_.vkQueueWaitIdle(queue_) != VK_SUCCESS) lost_ = true;
      if (result == VK_ERROR_DEVICE_LOST) lost_ = true;
      return vk_error(result, fmt::format("could not submit to '{}'", physical_.info.name));
    }
  }
  return {};
}

Status DeviceImpl::wait(VkFence fence) {
  ++waits_;
  VkResult result = table_.vkWaitForFences(handle_, 1, &fence, VK_TRUE, UINT64_MAX);
  if (result == VK_SUCCESS) result = table_.vkResetFences(handle_, 1, &fence);
  if (result == VK_SUCCESS) return {};
  // Out of memory while waiting, say: the work may go on. Nothing of it may be freed till it ends.
  const std::lock_guard lock(queue_mutex_);
  if (result == VK_ERROR_DEVICE_LOST || table_.vkQueueWaitIdle(queue_) != VK_SUCCESS ||
      table_.vkResetFences(handle_, 1, &fence) != VK_SUCCESS) {
    lost_ = true;
  }
  return vk_error(result, fmt::format("'{}' failed", physical_.info.name));
}

void DeviceImpl::count_allocation(int64_t bytes) {
  if (bytes > 0) ++allocation_count_;
  allocated_bytes_ += static_cast<uint64_t>(bytes);
}

Result<std::vector<DeviceInfo>> list_devices() {
  CALDERA_TRY_ASSIGN(const auto instance, Instance::create(false, nullptr));
  CALDERA_TRY_ASSIGN(const auto devices, list_physical_devices(*instance));
  std::vector<DeviceInfo> infos;
  for (const PhysicalDevice& device : devices) infos.push_back(device.info);
  return infos;
}

std::string_view device_type_name(DeviceType type) {
  switch (type) {
    case DeviceType::kDiscrete:
      return "discrete";
    case DeviceType::kIntegrated:
      return "integrated";
    case DeviceType::kVirtual:
      return "virtual";
    case DeviceType::kCpu:
      return "cpu";
    case DeviceType::kOther:
      break;
  }
  return "other";
}

Result<Device> Device::open(const DeviceOptions& options) {
  CALDERA_TRY_ASSIGN(auto impl, DeviceImpl::open(options));
  return Device(std::move(impl));
}

const DeviceInfo& Device::info() const {
  return impl_->info();
}
uint64_t Device::allocation_count() const {
  return impl_->allocation_count();
}
uint64_t Device::allocated_bytes() const {
  return impl_->allocated_bytes();
}
Status Device::save_cache() const {
  return impl_->pipelines().save();
}

}  // namespace caldera
