// Buffers, each with memory of its own: Caldera makes few and large ones (blocks of weights and of
// an arena, staging), so a suballocator would have nothing to do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "runtime/vulkan.h"

namespace caldera {

class DeviceImpl;

enum class MemoryKind : uint8_t {
  kDevice,    // Fastest for the device; host-visible as well where that costs nothing.
  kUpload,    // The host writes, the device reads.
  kReadback,  // The device writes, the host reads: cached where there is such memory.
};

class Buffer {
 public:
  // `what` names the buffer in errors ("the arena").
  static Result<Buffer> create(const std::shared_ptr<DeviceImpl>& device, uint64_t size,
                               MemoryKind kind, std::string_view what);
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer();

  VkBuffer handle() const { return handle_; }
  uint64_t size() const { return size_; }
  // The bytes, where the host sees them: always for upload and readback. Coherent.
  std::span<std::byte> mapped() const { return {mapped_, mapped_ ? size_ : 0}; }

 private:
  void swap(Buffer& other) noexcept;

  std::shared_ptr<DeviceImpl> device_;
  VkBuffer handle_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  uint64_t size_ = 0;
  uint64_t allocated_ = 0;
  std::byte* mapped_ = nullptr;
};

struct BufferRange {
  const Buffer* buffer = nullptr;
  uint64_t offset = 0;
  uint64_t size = 0;
  friend bool operator==(const BufferRange&, const BufferRange&) = default;
};

}  // namespace caldera
