#include "tests/runtime/matrix_pipeline.h"

#include <bit>
#include <cstring>

#include "runtime/buffer.h"
#include "runtime/device_impl.h"
#include "runtime/recorder.h"
#include "tests/support/device.h"

namespace caldera::test {

uint16_t half_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value == 0.0f) return 0;
  const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

std::vector<float> quarters(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = (static_cast<float>(seed >> 16 & 31) - 16.0f) / 4.0f;
  }
  return values;
}

std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, uint32_t m,
                           uint32_t n, uint32_t k) {
  std::vector<float> result(size_t{m} * n);
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t l = 0; l < k; ++l) result[i * n + j] += a[i * k + l] * b[l * n + j];
    }
  }
  return result;
}

MatrixPipeline::MatrixPipeline(DeviceImpl& device, std::span<const uint32_t> spirv,
                               const MatrixSides& sides)
    : device_(device) {
  const auto& vk = device.vk();
  const auto reflected = reflect(spirv);
  if (!reflected.ok()) return;
  reflection_ = *reflected;
  std::vector<VkDescriptorSetLayoutBinding> bindings;
  for (uint32_t i = 0; i < reflection_.bindings.size(); ++i) {
    bindings.push_back({.binding = i,
                        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                        .descriptorCount = 1,
                        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                        .pImmutableSamplers = nullptr});
  }
  const VkDescriptorSetLayoutCreateInfo set_info{
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
      .bindingCount = static_cast<uint32_t>(bindings.size()),
      .pBindings = bindings.data()};
  if (vk.vkCreateDescriptorSetLayout(device.handle(), &set_info, nullptr, &pipeline_.set_layout))
    return;
  const VkPushConstantRange push{.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                 .offset = 0,
                                 .size = reflection_.push_constant_bytes};
  const VkPipelineLayoutCreateInfo layout_info{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
      .setLayoutCount = 1,
      .pSetLayouts = &pipeline_.set_layout,
      .pushConstantRangeCount = 1,
      .pPushConstantRanges = &push};
  if (vk.vkCreatePipelineLayout(device.handle(), &layout_info, nullptr, &pipeline_.layout)) {
    return;
  }
  const VkShaderModuleCreateInfo module_info{.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = spirv.size_bytes(),
                                             .pCode = spirv.data()};
  if (vk.vkCreateShaderModule(device.handle(), &module_info, nullptr, &module_)) return;
  create(sides);
}

MatrixPipeline::~MatrixPipeline() {
  const auto& vk = device_.vk();
  vk.vkDestroyPipeline(device_.handle(), pipeline_.handle, nullptr);
  vk.vkDestroyShaderModule(device_.handle(), module_, nullptr);
  vk.vkDestroyPipelineLayout(device_.handle(), pipeline_.layout, nullptr);
  vk.vkDestroyDescriptorSetLayout(device_.handle(), pipeline_.set_layout, nullptr);
}

void MatrixPipeline::create(const MatrixSides& sides) {
  const Capabilities& can = device_.capabilities();
  const std::array constants = {can.subgroup_size, sides.m, sides.n, sides.k};
  std::array<VkSpecializationMapEntry, 4> entries{};
  for (uint32_t i = 0; i < entries.size(); ++i) entries[i] = {i, i * 4, 4};
  const VkSpecializationInfo specialization{.mapEntryCount = entries.size(),
                                            .pMapEntries = entries.data(),
                                            .dataSize = sizeof(constants),
                                            .pData = constants.data()};
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup{
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
      .requiredSubgroupSize = can.subgroup_size};
  const VkPipelineShaderStageCreateFlags full =
      VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
  const VkComputePipelineCreateInfo info{
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = can.subgroup_size_control ? &subgroup : nullptr,
                .flags = can.subgroup_size_control ? full : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module_,
                .pName = "main",
                .pSpecializationInfo = &specialization},
      .layout = pipeline_.layout,
      .basePipelineHandle = VK_NULL_HANDLE,
      .basePipelineIndex = 0};
  pipeline_.reflection = &reflection_;
  (void)device_.vk().vkCreateComputePipelines(device_.handle(), VK_NULL_HANDLE, 1, &info, nullptr,
                                              &pipeline_.handle);
}

std::optional<Device> matrix_device(const Device& shared, bool DeviceInfo::*has) {
  if (shared.info().*has) return shared;
  auto bare = open_without_validation();
  if (bare.ok() && bare->info().*has) return std::move(bare).value();
  return std::nullopt;
}

Status multiply(DeviceImpl& device, const Pipeline& pipeline, const MatrixSides& sides,
                std::span<const float> a, std::span<const float> b, std::span<std::byte> out,
                std::array<uint32_t, 3> tiles) {
  const auto self = device.shared_from_this();
  const auto upload = [&](std::span<const float> values) -> Result<Buffer> {
    CALDERA_TRY_ASSIGN(Buffer buffer, Buffer::create(self, values.size() * sizeof(uint16_t),
                                                     MemoryKind::kUpload, "an operand"));
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t bits = half_bits(values[i]);
      std::memcpy(buffer.mapped().data() + i * sizeof(bits), &bits, sizeof(bits));
    }
    return buffer;
  };
  CALDERA_TRY_ASSIGN(const Buffer left, upload(a));
  CALDERA_TRY_ASSIGN(const Buffer right, upload(b));
  CALDERA_TRY_ASSIGN(const Buffer made,
                     Buffer::create(self, out.size(), MemoryKind::kReadback, "the product"));
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(self));
  recorder.fill(made, 0xffffffffu);  // NaN, wherever nothing is written.
  const std::array<BufferRange, 3> bindings = {
      {{&left, 0, left.size()}, {&right, 0, right.size()}, {&made, 0, made.size()}}};
  const std::array<uint32_t, 2> params = {tiles[1] * sides.n, tiles[2] * sides.k};
  CALDERA_TRY(recorder.dispatch({.pipeline = &pipeline,
                                 .bindings = bindings,
                                 .push_constants = std::as_bytes(std::span(params)),
                                 .workgroups = {tiles[1], tiles[0], 1}}));
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  CALDERA_TRY(commands.run());
  std::memcpy(out.data(), made.mapped().data(), out.size());
  return {};
}

}  // namespace caldera::test
