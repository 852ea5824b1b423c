// Vulkan devices: listing, choosing and opening them. No Vulkan header is needed here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caldera/result.h"

namespace caldera {

enum class DeviceType : uint8_t { kDiscrete, kIntegrated, kVirtual, kCpu, kOther };

std::string_view device_type_name(DeviceType type);

struct DeviceInfo {
  int index = 0;  // In the ranking: discrete, integrated, virtual, CPU, other.
  std::string name;
  DeviceType type = DeviceType::kOther;
  std::string uuid;               // 32 hexadecimal digits.
  std::string driver_name;        // "llvmpipe", "NVIDIA", ...
  std::string driver_info;        // "Mesa 25.0.7", ...
  std::string api_version;        // "1.4.305"
  uint64_t memory_bytes = 0;      // Of the largest device-local heap.
  uint64_t memory_available = 0;  // By VK_EXT_memory_budget where there is one, else the heap.
  uint32_t subgroup_size = 0;
  uint32_t max_workgroup_invocations = 0;
  uint64_t max_storage_buffer_range = 0;
  bool fp16 = false;                // shaderFloat16 and 16-bit storage.
  bool bf16 = false;                // 16-bit storage: arithmetic is of f32.
  bool cooperative_matrix = false;  // VK_KHR_cooperative_matrix.
  std::string unusable;             // Why Caldera cannot use it; empty where it can.
};

// Every device that the Vulkan loader shows, ranked, unusable ones last. An empty list is a loader
// without devices; an error is a missing loader or a driver that failed.
Result<std::vector<DeviceInfo>> list_devices();

struct DeviceOptions {
  // Empty: the first of the ranking. Else an index, a part of the name, whatever the case (the
  // first of the ranking that has it), or a UUID or a unique start of one, of four digits or more.
  std::string device;
  // Where compiled pipelines are kept between runs; empty: nowhere.
  std::filesystem::path cache_dir;
  // Loads VK_LAYER_KHRONOS_validation with synchronization validation; an error where it is not
  // installed. Its messages go to `on_message`, from any thread.
  bool validation = false;
  std::function<void(const std::string&)> on_message;
};

class DeviceImpl;

// A shared handle: copies name one open device, which closes with the last of them. Every method
// may be called from any thread.
class Device {
 public:
  static Result<Device> open(const DeviceOptions& options = {});

  const DeviceInfo& info() const;
  // Buffers and device memory allocated since the device was opened.
  uint64_t allocation_count() const;
  // Bytes of buffers held now, the host-visible ones included.
  uint64_t allocated_bytes() const;
  // Writes the pipeline cache to cache_dir, whole or not at all. Done on closing as well.
  Status save_cache() const;

  // The executor's door; the type is defined in runtime/device_impl.h.
  DeviceImpl& impl() const { return *impl_; }

 private:
  explicit Device(std::shared_ptr<DeviceImpl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<DeviceImpl> impl_;
};

}  // namespace caldera
