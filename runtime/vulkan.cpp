// Loading Vulkan, and its errors in words.
#include "runtime/vulkan.h"

#include <mutex>

#include <fmt/format.h>

namespace caldera {

std::string vk_result_name(VkResult result) {
  switch (result) {
#define CALDERA_CASE(name) \
  case name:               \
    return #name
    CALDERA_CASE(VK_SUCCESS);
    CALDERA_CASE(VK_NOT_READY);
    CALDERA_CASE(VK_TIMEOUT);
    CALDERA_CASE(VK_INCOMPLETE);
    CALDERA_CASE(VK_ERROR_OUT_OF_HOST_MEMORY);
    CALDERA_CASE(VK_ERROR_OUT_OF_DEVICE_MEMORY);
    CALDERA_CASE(VK_ERROR_INITIALIZATION_FAILED);
    CALDERA_CASE(VK_ERROR_DEVICE_LOST);
    CALDERA_CASE(VK_ERROR_MEMORY_MAP_FAILED);
    CALDERA_CASE(VK_ERROR_LAYER_NOT_PRESENT);
    CALDERA_CASE(VK_ERROR_EXTENSION_NOT_PRESENT);
    CALDERA_CASE(VK_ERROR_FEATURE_NOT_PRESENT);
    CALDERA_CASE(VK_ERROR_INCOMPATIBLE_DRIVER);
    CALDERA_CASE(VK_ERROR_TOO_MANY_OBJECTS);
    CALDERA_CASE(VK_ERROR_OUT_OF_POOL_MEMORY);
    CALDERA_CASE(VK_ERROR_FRAGMENTATION);
    CALDERA_CASE(VK_ERROR_UNKNOWN);
#undef CALDERA_CASE
    default:
      return fmt::format("VkResult {}", static_cast<int>(result));
  }
}

Error vk_error(VkResult result, std::string_view what) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTATION:
    case VK_ERROR_MEMORY_MAP_FAILED:
      return {ErrorCode::kOutOfMemory,
              fmt::format("{}: {}; try a smaller batch", what, vk_result_name(result))};
    case VK_ERROR_TOO_MANY_OBJECTS:
      return {ErrorCode::kOutOfMemory,
              fmt::format("{}: {}; close other sessions", what, vk_result_name(result))};
    case VK_ERROR_DEVICE_LOST:
      return {ErrorCode::kDeviceLost,
              fmt::format("{}: the device was lost; open it again, and look into the system's log "
                          "for its driver's reason",
                          what)};
    case VK_ERROR_INCOMPATIBLE_DRIVER:
    case VK_ERROR_INITIALIZATION_FAILED:
    case VK_ERROR_LAYER_NOT_PRESENT:
    case VK_ERROR_EXTENSION_NOT_PRESENT:
    case VK_ERROR_FEATURE_NOT_PRESENT:
      return {ErrorCode::kNoDevice, fmt::format("{}: {}; 'caldera doctor' says what is missing",
                                                what, vk_result_name(result))};
    default:
      return {ErrorCode::kUnsupported, fmt::format("{}: {}", what, vk_result_name(result))};
  }
}

Status load_vulkan() {
  static const VkResult loaded = volkInitialize();
  if (loaded == VK_SUCCESS) return {};
  return Error{ErrorCode::kNoDevice,
               "no Vulkan loader (libvulkan.so.1): install it (Debian, Ubuntu: libvulkan1) and a "
               "driver (mesa-vulkan-drivers, or your GPU vendor's)"};
}

void load_instance_functions(VkInstance instance) {
  static std::once_flag once;
  std::call_once(once, [&] { volkLoadInstanceOnly(instance); });
}

}  // namespace caldera
