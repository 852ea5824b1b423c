// Buffers and the choice of their memory.
#include "runtime/buffer.h"

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "runtime/device_impl.h"

namespace caldera {

namespace {

constexpr VkMemoryPropertyFlags kHost =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

// What to ask for, best first. Vulkan promises the last of each.
std::vector<VkMemoryPropertyFlags> wishes(MemoryKind kind, const Capabilities& capabilities) {
  switch (kind) {
    case MemoryKind::kDevice:
      return {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                  (capabilities.host_visible_device_memory ? kHost : 0),
              VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT};
    case MemoryKind::kReadback:
      return {kHost | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, kHost};
    case MemoryKind::kUpload:
      break;
  }
  return {kHost};
}

std::optional<uint32_t> find_memory_type(const VkPhysicalDeviceMemoryProperties& memory,
                                         uint32_t allowed, VkMemoryPropertyFlags flags) {
  for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
    if ((allowed & (1u << i)) && (memory.memoryTypes[i].propertyFlags & flags) == flags) return i;
  }
  return std::nullopt;
}

}  // namespace

Result<Buffer> Buffer::create(const std::shared_ptr<DeviceImpl>& device, uint64_t size,
                              MemoryKind kind, std::string_view what) {
  const Capabilities& capabilities = device->capabilities();
  if (size > capabilities.max_block_bytes()) {
    return Error{
        ErrorCode::kOutOfMemory,
        fmt::format("{} would take {} MiB, but {} allocates at most {} MiB at once: try a "
                    "smaller batch or image",
                    what, size >> 20, device->info().name, capabilities.max_block_bytes() >> 20)};
  }
  Buffer buffer;
  buffer.device_ = device;
  buffer.size_ = size;
  const VkBufferCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .size = size,
      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT |
               VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
      .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
      .queueFamilyIndexCount = 0,
      .pQueueFamilyIndices = nullptr};
  const auto& vk = device->vk();
  VkResult result = vk.vkCreateBuffer(device->handle(), &info, nullptr, &buffer.handle_);
  if (result != VK_SUCCESS) return vk_error(result, fmt::format("could not create {}", what));

  VkMemoryRequirements needs;
  vk.vkGetBufferMemoryRequirements(device->handle(), buffer.handle_, &needs);
  result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  VkMemoryPropertyFlags got = 0;
  for (const VkMemoryPropertyFlags flags : wishes(kind, capabilities)) {
    const auto type = find_memory_type(device->memory_properties(), needs.memoryTypeBits, flags);
    if (!type) continue;
    const VkMemoryAllocateInfo allocate{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = *type};
    result = vk.vkAllocateMemory(device->handle(), &allocate, nullptr, &buffer.memory_);
    got = device->memory_properties().memoryTypes[*type].propertyFlags;
    if (result == VK_SUCCESS) break;
  }
  if (result != VK_SUCCESS) {
    return vk_error(result, fmt::format("could not allocate {} MiB for {} ({} MiB are free on {})",
                                        (needs.size + 0xfffff) >> 20, what,
                                        device->available_memory() >> 20, device->info().name));
  }
  buffer.allocated_ = needs.size;
  device->count_allocation(static_cast<int64_t>(needs.size));
  result = vk.vkBindBufferMemory(device->handle(), buffer.handle_, buffer.memory_, 0);
  if (result != VK_SUCCESS) return vk_error(result, fmt::format("could not bind {}", what));

  if ((got & kHost) == kHost) {
    void* data = nullptr;
    result = vk.vkMapMemory(device->handle(), buffer.memory_, 0, VK_WHOLE_SIZE, 0, &data);
    // lavapipe gives mmap's failure for success where the process is out of memory.
    if (data == reinterpret_cast<void*>(UINTPTR_MAX)) result = VK_ERROR_MEMORY_MAP_FAILED;
    if (result != VK_SUCCESS) return vk_error(result, fmt::format("could not map {}", what));
    buffer.mapped_ = static_cast<std::byte*>(data);
  }
  return buffer;
}

Buffer::~Buffer() {
  if (!device_) return;
  const auto& vk = device_->vk();
  if (handle_) vk.vkDestroyBuffer(device_->handle(), handle_, nullptr);
  if (memory_) vk.vkFreeMemory(device_->handle(), memory_, nullptr);
  device_->count_allocation(-static_cast<int64_t>(allocated_));
}

void Buffer::swap(Buffer& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  std::swap(allocated_, other.allocated_);
  std::swap(mapped_, other.mapped_);
}

}  // namespace caldera
