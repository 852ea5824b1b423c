// Physical devices: what they can do, their ranking, and choosing one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "caldera/device.h"

#include "runtime/capabilities.h"
#include "runtime/instance.h"

namespace caldera {

struct PhysicalDevice {
  VkPhysicalDevice handle = VK_NULL_HANDLE;
  VkPhysicalDeviceProperties properties{};
  VkPhysicalDeviceMemoryProperties memory{};
  Capabilities capabilities;
  DeviceInfo info;
  uint32_t queue_family = 0;
  bool portability_subset = false;
  bool memory_budget = false;

  // Tells this build of the driver from any other: 32 hexadecimal digits.
  std::string driver_id() const;
};

// All of them, usable ones first, by type as DeviceType orders them.
Result<std::vector<PhysicalDevice>> list_physical_devices(const Instance& instance);

// See DeviceOptions::device. An error lists what there is, and why what was meant is refused.
Result<PhysicalDevice> select_physical_device(const std::vector<PhysicalDevice>& devices,
                                              std::string_view selector);

// Bytes of the largest device-local heap that may still be allocated.
uint64_t available_memory(const PhysicalDevice& device);

}  // namespace caldera
