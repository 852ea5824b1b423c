// Asking devices what they can do.
#include "runtime/physical_device.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "runtime/cooperative_matrix.h"

namespace caldera {

namespace {

constexpr uint32_t kMostStorageBuffers = 7;  // Of one shader: batch_norm.

DeviceType device_type(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return DeviceType::kDiscrete;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return DeviceType::kIntegrated;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return DeviceType::kVirtual;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
      return DeviceType::kCpu;
    default:
      return DeviceType::kOther;
  }
}

std::string hexadecimal(const uint8_t* bytes, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::vector<VkExtensionProperties> device_extensions(VkPhysicalDevice handle) {
  uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(handle, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> extensions(count);
  vkEnumerateDeviceExtensionProperties(handle, nullptr, &count, extensions.data());
  return extensions;
}

bool lists(const std::vector<VkExtensionProperties>& extensions, const char* name) {
  return std::any_of(extensions.begin(), extensions.end(), [&](const auto& extension) {
    return !std::strcmp(extension.extensionName, name);
  });
}

// The first family that computes: on every driver known, the one with the most abilities.
struct QueueFamily {
  uint32_t index = 0;
  uint32_t timestamp_bits = 0;
};

std::optional<QueueFamily> find_queue_family(VkPhysicalDevice handle) {
  uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families.data());
  for (uint32_t i = 0; i < count; ++i) {
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
      return QueueFamily{i, families[i].timestampValidBits};
    }
  }
  return std::nullopt;
}

bool has_memory_type(const VkPhysicalDeviceMemoryProperties& memory, VkMemoryPropertyFlags flags) {
  return std::any_of(memory.memoryTypes, memory.memoryTypes + memory.memoryTypeCount,
                     [&](const auto& type) { return (type.propertyFlags & flags) == flags; });
}

uint64_t largest_local_heap(const VkPhysicalDeviceMemoryProperties& memory) {
  uint64_t largest = 0;
  for (uint32_t i = 0; i < memory.memoryHeapCount; ++i) {
    if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
      largest = std::max(largest, memory.memoryHeaps[i].size);
    }
  }
  return largest;
}

void query_capabilities(PhysicalDevice& device, const Instance& instance,
                        const std::vector<VkExtensionProperties>& extensions) {
  const bool size_control = lists(extensions, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  const bool says_buffer_size = device.properties.apiVersion >= VK_API_VERSION_1_3 ||
                                lists(extensions, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);

  void* known = nullptr;  // The chain of what this driver has.
  VkPhysicalDeviceMaintenance4Properties maintenance4{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
  if (says_buffer_size) known = &maintenance4;
  VkPhysicalDeviceSubgroupSizeControlProperties size_control_properties{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES, .pNext = known};
  if (size_control) known = &size_control_properties;
  VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nvidia{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV, .pNext = known};
  if (lists(extensions, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME)) known = &nvidia;
  VkPhysicalDeviceShaderCorePropertiesAMD amd{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD, .pNext = known};
  if (lists(extensions, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME)) known = &amd;
  VkPhysicalDeviceVulkan12Properties properties12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES, .pNext = known};
  VkPhysicalDeviceVulkan11Properties properties11{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &properties12};
  VkPhysicalDeviceProperties2 properties{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                         .pNext = &properties11};
  vkGetPhysicalDeviceProperties2(device.handle, &properties);

  VkPhysicalDeviceSubgroupSizeControlFeatures size_control_features{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
  VkPhysicalDeviceVulkan12Features features12{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
      .pNext = size_control ? &size_control_features : nullptr};
  VkPhysicalDeviceVulkan11Features features11{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &features12};
  VkPhysicalDeviceFeatures2 features{.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &features11};
  vkGetPhysicalDeviceFeatures2(device.handle, &features);

  const VkPhysicalDeviceLimits& limits = device.properties.limits;
  Capabilities& out = device.capabilities;
  out.cpu = device.info.type == DeviceType::kCpu;
  out.max_storage_buffer_range = limits.maxStorageBufferRange;
  out.storage_buffer_alignment = std::max<uint64_t>(limits.minStorageBufferOffsetAlignment, 16);
  out.timestamp_seconds = static_cast<double>(limits.timestampPeriod) * 1e-9;
  out.max_allocation_size = properties11.maxMemoryAllocationSize;
  if (says_buffer_size) out.max_buffer_size = maintenance4.maxBufferSize;
  for (size_t i = 0; i < 3; ++i) {
    out.max_workgroup_count[i] = limits.maxComputeWorkGroupCount[i];
    out.max_workgroup_size[i] = limits.maxComputeWorkGroupSize[i];
  }
  out.max_workgroup_invocations = limits.maxComputeWorkGroupInvocations;
  out.max_shared_memory = limits.maxComputeSharedMemorySize;
  out.max_texel_buffer_elements = limits.maxTexelBufferElements;
  out.max_storage_texel_buffers =
      std::min(limits.maxPerStageDescriptorStorageImages, limits.maxDescriptorSetStorageImages);
  out.texel_buffer_alignment = limits.minTexelBufferOffsetAlignment;
  out.processors = nvidia.shaderSMCount + amd.shaderEngineCount * amd.shaderArraysPerEngineCount *
                                              amd.computeUnitsPerShaderArray;
  out.subgroup_size = properties11.subgroupSize;
  out.min_subgroup_size = out.max_subgroup_size = out.subgroup_size;
  out.subgroup_shuffle =
      (properties11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
      (properties11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
  if (size_control) {
    out.subgroup_size_control =
        size_control_features.subgroupSizeControl && size_control_features.computeFullSubgroups &&
        (size_control_properties.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
    out.min_subgroup_size = size_control_properties.minSubgroupSize;
    out.max_subgroup_size = size_control_properties.maxSubgroupSize;
  }
  out.storage16 = features11.storageBuffer16BitAccess;
  out.fp16 = features12.shaderFloat16 && out.storage16;
  if (lists(extensions, "VK_KHR_cooperative_matrix") && features12.vulkanMemoryModel) {
    out.cooperative_matrix_shapes = cooperative_matrix_shapes(instance, device.handle);
  }
  out.cooperative_matrix = !out.cooperative_matrix_shapes.empty();
  out.host_visible_device_memory =
      device.info.type != DeviceType::kDiscrete &&
      has_memory_type(device.memory, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                         VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);

  device.info.uuid = hexadecimal(properties11.deviceUUID, VK_UUID_SIZE);
  device.info.driver_name = properties12.driverName;
  device.info.driver_info = properties12.driverInfo;
}

PhysicalDevice describe(const Instance& instance, VkPhysicalDevice handle) {
  PhysicalDevice device;
  device.handle = handle;
  vkGetPhysicalDeviceProperties(handle, &device.properties);
  vkGetPhysicalDeviceMemoryProperties(handle, &device.memory);
  DeviceInfo& info = device.info;
  info.name = device.properties.deviceName;
  info.type = device_type(device.properties.deviceType);
  const uint32_t api = device.properties.apiVersion;
  info.api_version = fmt::format("{}.{}.{}", VK_API_VERSION_MAJOR(api), VK_API_VERSION_MINOR(api),
                                 VK_API_VERSION_PATCH(api));
  const std::optional<QueueFamily> family = find_queue_family(handle);
  if (api < VK_API_VERSION_1_2) {
    info.unusable = "its driver offers Vulkan " + info.api_version + ", older than 1.2";
    return device;
  }
  if (!family) {
    info.unusable = "it has no compute queue";
    return device;
  }
  const VkPhysicalDeviceLimits& limits = device.properties.limits;
  const uint32_t bindings =
      std::min(limits.maxPerStageDescriptorStorageBuffers, limits.maxDescriptorSetStorageBuffers);
  if (bindings < kMostStorageBuffers) {
    info.unusable = fmt::format("its shaders bind {} storage buffers, and {} are needed", bindings,
                                kMostStorageBuffers);
    return device;
  }
  device.queue_family = family->index;
  device.capabilities.timestamp_bits = family->timestamp_bits;
  const auto extensions = device_extensions(handle);
  device.portability_subset = lists(extensions, "VK_KHR_portability_subset");
  device.memory_budget = lists(extensions, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  query_capabilities(device, instance, extensions);

  const Capabilities& capabilities = device.capabilities;
  info.memory_bytes = largest_local_heap(device.memory);
  info.memory_available = available_memory(device);
  info.subgroup_size = capabilities.subgroup_size;
  info.max_workgroup_invocations = capabilities.max_workgroup_invocations;
  info.max_storage_buffer_range = capabilities.max_storage_buffer_range;
  info.fp16 = capabilities.fp16;
  info.bf16 = capabilities.storage16;
  info.cooperative_matrix = capabilities.cooperative_matrix;
  return device;
}

bool contains_ignoring_case(std::string_view text, std::string_view part) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [&](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

std::string list_names(const std::vector<PhysicalDevice>& devices) {
  std::string text;
  for (const PhysicalDevice& device : devices) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", device.info.index, device.info.name);
    if (!device.info.unusable.empty()) text += " (unusable: " + device.info.unusable + ")";
  }
  return text;
}

// Those that the selector names, in the ranking's order: by index, else by name, else by UUID.
std::vector<const PhysicalDevice*> matches(const std::vector<PhysicalDevice>& devices,
                                           std::string_view selector, bool& by_uuid) {
  std::vector<const PhysicalDevice*> found;
  const auto take_if = [&](auto predicate) {
    for (const PhysicalDevice& device : devices) {
      if (predicate(device.info)) found.push_back(&device);
    }
    return !found.empty();
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (selector.size() <= 3 && std::all_of(selector.begin(), selector.end(), is_digit)) {
    take_if([&](const DeviceInfo& info) { return std::to_string(info.index) == selector; });
    return found;
  }
  if (take_if(
          [&](const DeviceInfo& info) { return contains_ignoring_case(info.name, selector); })) {
    return found;
  }
  std::string uuid(selector);
  std::erase(uuid, '-');
  if (uuid.size() >= 4) {
    take_if([&](const DeviceInfo& info) {
      return !info.uuid.empty() && contains_ignoring_case(info.uuid.substr(0, uuid.size()), uuid);
    });
    by_uuid = true;
  }
  return found;
}

}  // namespace

std::string PhysicalDevice::driver_id() const {
  return hexadecimal(properties.pipelineCacheUUID, VK_UUID_SIZE);
}

uint64_t available_memory(const PhysicalDevice& device) {
  if (!device.memory_budget) return largest_local_heap(device.memory);
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
  vkGetPhysicalDeviceMemoryProperties2(device.handle, &memory);
  uint64_t available = 0;
  for (uint32_t i = 0; i < device.memory.memoryHeapCount; ++i) {
    if (!(device.memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)) continue;
    const uint64_t used = std::min(budget.heapUsage[i], budget.heapBudget[i]);
    available = std::max(available, budget.heapBudget[i] - used);
  }
  return available;
}

Result<std::vector<PhysicalDevice>> list_physical_devices(const Instance& instance) {
  uint32_t count = 0;
  VkResult result = vkEnumeratePhysicalDevices(instance.handle(), &count, nullptr);
  std::vector<VkPhysicalDevice> handles(count);
  if (result == VK_SUCCESS && count > 0) {
    result = vkEnumeratePhysicalDevices(instance.handle(), &count, handles.data());
    handles.resize(count);
  }
  // What a loader answers whose drivers all found no device of theirs.
  if (result == VK_ERROR_INITIALIZATION_FAILED)
    handles.clear();
  else if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
    return vk_error(result, "could not list the Vulkan devices");
  }

  std::vector<PhysicalDevice> devices;
  for (const VkPhysicalDevice handle : handles) devices.push_back(describe(instance, handle));
  std::stable_sort(devices.begin(), devices.end(), [](const auto& a, const auto& b) {
    const auto rank = [](const PhysicalDevice& device) {
      return std::pair(!device.info.unusable.empty(), device.info.type);
    };
    return rank(a) < rank(b);
  });
  for (size_t i = 0; i < devices.size(); ++i) devices[i].info.index = static_cast<int>(i);
  return devices;
}

Result<PhysicalDevice> select_physical_device(const std::vector<PhysicalDevice>& devices,
                                              std::string_view selector) {
  if (devices.empty()) {
    return Error{ErrorCode::kNoDevice,
                 "no Vulkan device: install a driver (Debian, Ubuntu: mesa-vulkan-drivers has a "
                 "software one that runs anywhere); 'caldera doctor' tells more"};
  }
  bool by_uuid = false;
  const auto found =
      selector.empty() ? std::vector{&devices.front()} : matches(devices, selector, by_uuid);
  if (by_uuid && found.size() > 1) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("'{}' begins the UUIDs of {} devices: give more of it, or an index; "
                             "there are {}",
                             selector, found.size(), list_names(devices))};
  }
  if (found.empty()) {
    return Error{ErrorCode::kInvalidInput, fmt::format("no device matches '{}'; there are {}",
                                                       selector, list_names(devices))};
  }
  const DeviceInfo& info = found.front()->info;
  if (!info.unusable.empty()) {
    return Error{ErrorCode::kNoDevice,
                 fmt::format("the device '{}' cannot be used: {}; update its driver, or choose "
                             "another of {}",
                             info.name, info.unusable, list_names(devices))};
  }
  return *found.front();
}

}  // namespace caldera
