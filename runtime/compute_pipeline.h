// A compute pipeline of any SPIR-V: its layout as the code says it, and the pipeline itself. What
// is made is the caller's to destroy.
#pragma once

#include <span>
#include <string_view>

#include "caldera/result.h"

#include "runtime/reflection.h"
#include "runtime/vulkan.h"

namespace caldera {

struct Pipeline {
  VkPipeline handle = VK_NULL_HANDLE;
  VkPipelineLayout layout = VK_NULL_HANDLE;
  VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
  const ShaderReflection* reflection = nullptr;
};

struct ShaderLayout {
  ShaderReflection reflection;
  VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
  VkPipelineLayout pipeline_layout = VK_NULL_HANDLE;
  VkShaderModule module = VK_NULL_HANDLE;
};

// `name`: for messages. What was made before an error is in `layout`, to be destroyed.
Status make_layout(VkDevice device, const VolkDeviceTable& vk, std::span<const uint32_t> spirv,
                   std::string_view name, ShaderLayout& layout);
void destroy_layout(VkDevice device, const VolkDeviceTable& vk, ShaderLayout& layout);

struct PipelineSettings {
  std::span<const uint32_t> constants;  // By constant_id: all that the shader has.
  uint32_t required_subgroup_size = 0;  // 0: the driver's choice.
};

// The pipeline refers to `layout`. `cache` may be null.
Status compile(VkDevice device, const VolkDeviceTable& vk, VkPipelineCache cache,
               const ShaderLayout& layout, const PipelineSettings& settings, std::string_view name,
               Pipeline& pipeline);

}  // namespace caldera
