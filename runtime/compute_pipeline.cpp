// Making compute pipelines.
#include "runtime/compute_pipeline.h"

#include <cassert>
#include <vector>

#include <fmt/format.h>

namespace caldera {

Status make_layout(VkDevice device, const VolkDeviceTable& vk, std::span<const uint32_t> spirv,
                   std::string_view name, ShaderLayout& layout) {
  CALDERA_TRY_ASSIGN(layout.reflection, reflect(spirv));
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (const ShaderBinding& binding : layout.reflection.bindings) {
    bindings.push_back({.binding = static_cast<uint32_t>(bindings.size()),
                        .descriptorType = binding.type == BindingType::kStorageBuffer
                                              ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER
                                              : VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER,
                        .descriptorCount = 1,
                        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                        .pImmutableSamplers = nullptr});
  }
  const VkDescriptorSetLayoutCreateInfo set_info{
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = static_cast<uint32_t>(bindings.size()),
      .pBindings = bindings.data()};
  VkResult result = vk.vkCreateDescriptorSetLayout(device, &set_info, nullptr, &layout.set_layout);
  const VkPushConstantRange push{.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                 .offset = 0,
                                 .size = layout.reflection.push_constant_bytes};
  const VkPipelineLayoutCreateInfo layout_info{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
      .setLayoutCount = 1,
      .pSetLayouts = &layout.set_layout,
      .pushConstantRangeCount = push.size > 0 ? 1u : 0u,
      .pPushConstantRanges = &push};
  if (result == VK_SUCCESS) {
    result = vk.vkCreatePipelineLayout(device, &layout_info, nullptr, &layout.pipeline_layout);
  }
  const VkShaderModuleCreateInfo module_info{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = spirv.size_bytes(),
                                             .pCode = spirv.data()};
  if (result == VK_SUCCESS) {
    result = vk.vkCreateShaderModule(device, &module_info, nullptr, &layout.module);
  }
  if (result == VK_SUCCESS) return {};
  return vk_error(result, fmt::format("could not load the shader {}", name));
}

void destroy_layout(VkDevice device, const VolkDeviceTable& vk, ShaderLayout& layout) {
  vk.vkDestroyPipelineLayout(device, layout.pipeline_layout, nullptr);
  vk.vkDestroyDescriptorSetLayout(device, layout.set_layout, nullptr);
  vk.vkDestroyShaderModule(device, layout.module, nullptr);
  layout = ShaderLayout();
}

Status compile(VkDevice device, const VolkDeviceTable& vk, VkPipelineCache cache,
               const ShaderLayout& layout, const PipelineSettings& settings, std::string_view name,
               Pipeline& pipeline) {
  assert(settings.constants.size() == layout.reflection.specialization_constants);
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < settings.constants.size(); ++i) entries.push_back({i, i * 4, 4});
  const VkSpecializationInfo constants{.mapEntryCount = static_cast<uint32_t>(entries.size()),
                                       .pMapEntries = entries.data(),
                                       .dataSize = settings.constants.size() * 4,
                                       .pData = settings.constants.data()};
  const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
      .requiredSubgroupSize = settings.required_subgroup_size};
  const bool sized = settings.required_subgroup_size != 0;
  const VkComputePipelineCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = sized ? const_cast<void*>(static_cast<const void*>(&subgroup)) : nullptr,
                .flags = sized ? static_cast<VkPipelineShaderStageCreateFlags>(
                                     VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT)
                               : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = layout.module,
                .pName = "main",
                .pSpecializationInfo = &constants},
      .layout = layout.pipeline_layout,
      .basePipelineHandle = VK_NULL_HANDLE,
      .basePipelineIndex = 0};
  pipeline = {VK_NULL_HANDLE, layout.pipeline_layout, layout.set_layout, &layout.reflection};
  const VkResult result =
      vk.vkCreateComputePipelines(device, cache, 1, &info, nullptr, &pipeline.handle);
  if (result == VK_SUCCESS) return {};
  return vk_error(result, fmt::format("could not compile {}", name));
}

}  // namespace caldera
