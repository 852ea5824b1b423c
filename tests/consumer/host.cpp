// A program that uses Vulkan by itself, linked to the loader, and Caldera beside it: neither may
// take the other's functions for its own.
#include <cstdio>

#include <caldera/device.h>
#include <vulkan/vulkan.h>

int main() {
  uint32_t version = 0;
  const VkResult result = vkEnumerateInstanceVersion(&version);
  const auto devices = caldera::list_devices();
  if (result != VK_SUCCESS || !devices.ok()) return 1;
  std::printf("the host's Vulkan: %u.%u; Caldera's devices: %zu\n", VK_API_VERSION_MAJOR(version),
              VK_API_VERSION_MINOR(version), devices->size());
  return 0;
}
