// A product of matrices by VK_KHR_cooperative_matrix, in every shape that the device offers for f16
// operands with f32 accumulation: the compiler, the features enabled and the shapes told fit
// together. The shader is this test's own, so its pipeline is made here.
#include "spirv/cooperative_matrix.h"

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/buffer.h"
#include "runtime/device_impl.h"
#include "runtime/recorder.h"
#include "tests/support/device.h"

namespace caldera {
namespace {

// Of a number that f16 holds exactly.
uint16_t half_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value == 0.0f) return 0;
  const uint32_t exponent = (bits >> 23 & 0xff) - 127 + 15;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

// Multiples of 1/4 of at most 4: sums of their products are exact in f32, so results compare equal.
std::vector<float> quarters(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = (static_cast<float>(seed >> 16 & 31) - 16.0f) / 4.0f;
  }
  return values;
}

// a [m, k], b [k, n]
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

class TestPipeline {
 public:
  TestPipeline(DeviceImpl& device, const CooperativeMatrixShape& shape) : device_(device) {
    const auto& vk = device.vk();
    const std::span<const uint32_t> spirv = cooperative_matrix_spirv;
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
    create(shape);
  }

  ~TestPipeline() {
    const auto& vk = device_.vk();
    vk.vkDestroyPipeline(device_.handle(), pipeline_.handle, nullptr);
    vk.vkDestroyShaderModule(device_.handle(), module_, nullptr);
    vk.vkDestroyPipelineLayout(device_.handle(), pipeline_.layout, nullptr);
    vk.vkDestroyDescriptorSetLayout(device_.handle(), pipeline_.set_layout, nullptr);
  }

  // Null where something failed.
  const Pipeline* get() const { return pipeline_.handle ? &pipeline_ : nullptr; }

 private:
  void create(const CooperativeMatrixShape& shape) {
    const Capabilities& can = device_.capabilities();
    const std::array constants = {can.subgroup_size, shape.m, shape.n, shape.k};
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

  DeviceImpl& device_;
  ShaderReflection reflection_;
  VkShaderModule module_ = VK_NULL_HANDLE;
  Pipeline pipeline_;
};

// The shared device, or where the validation layers are older than the extension, one without them.
std::optional<Device> matrix_device(const Device& shared) {
  if (shared.info().cooperative_matrix) return shared;
  auto bare = test::open_without_validation();
  if (bare.ok() && bare->info().cooperative_matrix) return std::move(bare).value();
  return std::nullopt;
}

Status multiply(DeviceImpl& device, const CooperativeMatrixShape& shape, const Pipeline& pipeline,
                std::span<const float> a, std::span<const float> b, std::span<float> d,
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
  CALDERA_TRY_ASSIGN(const Buffer out,
                     Buffer::create(self, d.size_bytes(), MemoryKind::kReadback, "the product"));
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(self));
  recorder.fill(out, 0xffffffffu);  // NaN, wherever nothing is written.
  const std::array<BufferRange, 3> bindings = {
      {{&left, 0, left.size()}, {&right, 0, right.size()}, {&out, 0, out.size()}}};
  const std::array<uint32_t, 2> params = {tiles[1] * shape.n, tiles[2] * shape.k};
  CALDERA_TRY(recorder.dispatch({.pipeline = &pipeline,
                                 .bindings = bindings,
                                 .push_constants = std::as_bytes(std::span(params)),
                                 .workgroups = {tiles[1], tiles[0], 1}}));
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  CALDERA_TRY(commands.run());
  std::memcpy(d.data(), out.mapped().data(), d.size_bytes());
  return {};
}

// The newest Mesa's driver has all of it: there a lack is ours, and a failure.
#define REQUIRE_MATRICES(there, lack) \
  if (!(there)) CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_matrices(), lack)

TEST(CooperativeMatrix, ShapesAreToldWhereTheDeviceHasThem) {
  CALDERA_REQUIRE_DEVICE(shared);
  const auto device = matrix_device(shared);
  REQUIRE_MATRICES(device, shared.info().name + " has no VK_KHR_cooperative_matrix")
  const Capabilities& can = device->impl().capabilities();
  EXPECT_TRUE(can.cooperative_matrix);
  ASSERT_FALSE(can.cooperative_matrix_shapes.empty());
  for (const CooperativeMatrixShape& shape : can.cooperative_matrix_shapes) {
    EXPECT_GT(shape.m, 0u);
    EXPECT_GT(shape.n, 0u);
    EXPECT_GT(shape.k, 0u);
  }
}

TEST(CooperativeMatrix, ProductsOfHalvesSumInFloat) {
  CALDERA_REQUIRE_DEVICE(shared);
  const auto device = matrix_device(shared);
  REQUIRE_MATRICES(device, shared.info().name + " has no VK_KHR_cooperative_matrix")
  const Capabilities& can = device->impl().capabilities();
  REQUIRE_MATRICES(can.fp16, shared.info().name + " has no f16")

  int tried = 0;
  for (const CooperativeMatrixShape& shape : can.cooperative_matrix_shapes) {
    if (shape.a != ComponentType::kFloat16 || shape.b != ComponentType::kFloat16 ||
        shape.c != ComponentType::kFloat32 || shape.result != ComponentType::kFloat32) {
      continue;
    }
    SCOPED_TRACE(fmt::format("{} x {} x {}", shape.m, shape.n, shape.k));
    ++tried;
    const TestPipeline pipeline(device->impl(), shape);
    ASSERT_TRUE(pipeline.get());
    const std::array<uint32_t, 3> tiles = {2, 3, 4};
    const uint32_t m = tiles[0] * shape.m;
    const uint32_t n = tiles[1] * shape.n;
    const uint32_t k = tiles[2] * shape.k;
    const std::vector<float> a = quarters(size_t{m} * k, 1);
    const std::vector<float> b = quarters(size_t{k} * n, 2);
    std::vector<float> d(size_t{m} * n);
    const Status status = multiply(device->impl(), shape, *pipeline.get(), a, b, d, tiles);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(d, product(a, b, m, n, k));
  }
  REQUIRE_MATRICES(tried > 0, shared.info().name + " has no shape of f16 with f32 sums")
}

}  // namespace
}  // namespace caldera
