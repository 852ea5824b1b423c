#include "tests/models/networks/amd_compiler.h"

#include <array>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace caldera::test {

namespace {

// The driver's own functions, which the two below stand before: the runtime then opens the device
// and makes pipelines just as it does for users, and the driver tells what it compiled.
PFN_vkCreateDevice create_device = nullptr;
PFN_vkCreateComputePipelines create_pipelines = nullptr;

VKAPI_ATTR VkResult VKAPI_CALL create_telling_device(VkPhysicalDevice physical,
                                                     const VkDeviceCreateInfo* given,
                                                     const VkAllocationCallbacks* allocator,
                                                     VkDevice* device) {
  std::vector<const char*> extensions(
      given->ppEnabledExtensionNames,
      given->ppEnabledExtensionNames + given->enabledExtensionCount);
  extensions.push_back(VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR tells{
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
      .pNext = const_cast<void*>(given->pNext),
      .pipelineExecutableInfo = VK_TRUE};
  VkDeviceCreateInfo info = *given;
  info.pNext = &tells;
  info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  return create_device(physical, &info, allocator, device);
}

VKAPI_ATTR VkResult VKAPI_CALL create_telling_pipelines(VkDevice device, VkPipelineCache cache,
                                                        uint32_t count,
                                                        const VkComputePipelineCreateInfo* given,
                                                        const VkAllocationCallbacks* allocator,
                                                        VkPipeline* pipelines) {
  std::vector<VkComputePipelineCreateInfo> infos(given, given + count);
  for (auto& info : infos) info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
  return create_pipelines(device, cache, count, infos.data(), allocator, pipelines);
}

}  // namespace

Result<AmdCompiler*> AmdCompiler::open(const std::string& family) {
  ::setenv("RADV_FORCE_FAMILY", family.c_str(), /*overwrite=*/1);
  CALDERA_TRY_ASSIGN(const auto devices, list_devices());  // Loads the functions of instances.
  if (devices.empty() || devices.front().driver_name != "radv") {
    return Error{ErrorCode::kNoDevice, "Mesa's RADV does not open a GPU that is not there"};
  }
  create_device = std::exchange(vkCreateDevice, create_telling_device);
  auto opened = DeviceImpl::open({});
  vkCreateDevice = create_device;
  if (!opened.ok()) return opened.error();

  auto* made = new AmdCompiler;  // Never deleted, for that closes the device.
  made->device_ = std::move(opened).value();
  made->vk_ = made->device_->vk();
  create_pipelines = std::exchange(made->vk_.vkCreateComputePipelines, create_telling_pipelines);
  return made;
}

Result<const ShaderLayout*> AmdCompiler::layout(ShaderId shader) {
  const std::lock_guard lock(mutex_);
  ShaderLayout& made = layouts_[shader];
  if (!made.module) {
    CALDERA_TRY(
        make_layout(device_->handle(), vk_, shader_spirv(shader), shader_name(shader), made));
  }
  return &made;
}

Result<PipelineUse> AmdCompiler::compile(const PipelineKey& key) {
  CALDERA_TRY_ASSIGN(const ShaderLayout* shader, layout(key.shader));
  PipelineSettings settings;
  settings.constants = key.constants;
  settings.required_subgroup_size = key.required_subgroup_size;
  Pipeline pipeline;
  CALDERA_TRY(caldera::compile(device_->handle(), vk_, VK_NULL_HANDLE, *shader, settings,
                               shader_name(key.shader), pipeline));
  auto use = use_of(pipeline.handle);
  vk_.vkDestroyPipeline(device_->handle(), pipeline.handle, nullptr);
  return use;
}

Result<PipelineUse> AmdCompiler::use_of(VkPipeline pipeline) const {
  const VkDevice device = device_->handle();
  const VkPipelineInfoKHR info{.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
  uint32_t count = 1;
  VkPipelineExecutablePropertiesKHR executable{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
  VkResult result = vk_.vkGetPipelineExecutablePropertiesKHR(device, &info, &count, &executable);
  const VkPipelineExecutableInfoKHR first{.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                          .pipeline = pipeline,
                                          .executableIndex = 0};
  count = 0;
  if (result == VK_SUCCESS) {
    result = vk_.vkGetPipelineExecutableStatisticsKHR(device, &first, &count, nullptr);
  }
  std::vector<VkPipelineExecutableStatisticKHR> statistics(
      count, {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR});
  if (result == VK_SUCCESS) {
    result = vk_.vkGetPipelineExecutableStatisticsKHR(device, &first, &count, statistics.data());
  }
  if (result != VK_SUCCESS) return vk_error(result, "could not read what a pipeline takes");

  PipelineUse use;
  use.subgroup_size = executable.subgroupSize;
  const std::array<std::pair<std::string_view, uint64_t*>, 7> wanted{{
      {"VGPRs", &use.vector_registers},
      {"SGPRs", &use.scalar_registers},
      {"Spilled VGPRs", &use.spilled_vector_registers},
      {"Spilled SGPRs", &use.spilled_scalar_registers},
      {"Scratch size", &use.scratch_bytes},
      {"LDS size", &use.shared_bytes},
      {"Subgroups per SIMD", &use.subgroups_a_simd},
  }};
  for (const auto& [name, value] : wanted) {
    bool told = false;
    for (const VkPipelineExecutableStatisticKHR& statistic : statistics) {
      if (name != statistic.name) continue;
      *value = statistic.value.u64;
      told = true;
    }
    // A driver that names it otherwise is not to pass for one that spills nothing.
    if (!told) return Error{ErrorCode::kUnsupported, fmt::format("RADV does not tell '{}'", name)};
  }
  return use;
}

}  // namespace caldera::test
