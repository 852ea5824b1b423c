#include "tests/runtime/matrix_pipeline.h"

#include <bit>
#include <cstring>
#include <string_view>

#include <gtest/gtest.h>

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
  constexpr std::string_view kName = "the test's matrices";
  const Capabilities& can = device.capabilities();
  const std::array constants = {can.subgroup_size, sides.m, sides.n, sides.k};
  const PipelineSettings settings{constants, can.subgroup_size_control ? can.subgroup_size : 0};
  Status made = make_layout(device.handle(), device.vk(), spirv, kName, layout_);
  if (made.ok()) {
    made =
        compile(device.handle(), device.vk(), VK_NULL_HANDLE, layout_, settings, kName, pipeline_);
  }
  EXPECT_TRUE(made.ok()) << made.error().message;
}

MatrixPipeline::~MatrixPipeline() {
  device_.vk().vkDestroyPipeline(device_.handle(), pipeline_.handle, nullptr);
  destroy_layout(device_.handle(), device_.vk(), layout_);
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
