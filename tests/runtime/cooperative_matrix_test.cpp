// A product of matrices by VK_KHR_cooperative_matrix, in every shape that the device offers for f16
// operands with f32 accumulation: the compiler, the features enabled and the shapes told fit
// together.
#include "spirv/cooperative_matrix.h"

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/buffer.h"
#include "runtime/compute_pipeline.h"
#include "runtime/device_impl.h"
#include "runtime/recorder.h"
#include "tests/support/device.h"
#include "tests/support/require.h"

namespace caldera {
namespace {

// The bits of a number that f16 holds exactly.
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

// Sides of one matrix of sums, and how far a step goes along k.
struct MatrixSides {
  uint32_t m = 0;
  uint32_t n = 0;
  uint32_t k = 0;
};

// The test's shader with the specialization constants (subgroup size, m, n, k).
class MatrixPipeline {
 public:
  MatrixPipeline(DeviceImpl& device, const MatrixSides& sides) : device_(device) {
    constexpr std::string_view kName = "the test's matrices";
    const Capabilities& can = device.capabilities();
    const std::array constants = {can.subgroup_size, sides.m, sides.n, sides.k};
    const PipelineSettings settings{constants, can.subgroup_size_control ? can.subgroup_size : 0};
    Status made =
        make_layout(device.handle(), device.vk(), cooperative_matrix_spirv, kName, layout_);
    if (made.ok()) {
      made = compile(device.handle(), device.vk(), VK_NULL_HANDLE, layout_, settings, kName,
                     pipeline_);
    }
    EXPECT_TRUE(made.ok()) << made.error().message;
  }
  ~MatrixPipeline() {
    device_.vk().vkDestroyPipeline(device_.handle(), pipeline_.handle, nullptr);
    destroy_layout(device_.handle(), device_.vk(), layout_);
  }
  MatrixPipeline(const MatrixPipeline&) = delete;
  MatrixPipeline& operator=(const MatrixPipeline&) = delete;

  // Null where something failed.
  const Pipeline* get() const { return pipeline_.handle ? &pipeline_ : nullptr; }

 private:
  DeviceImpl& device_;
  ShaderLayout layout_;
  Pipeline pipeline_;
};

// The shared device, or where the validation layers are older than such matrices, one without them.
std::optional<Device> matrix_device(const Device& shared) {
  if (shared.info().cooperative_matrix) return shared;
  auto bare = test::open_without_validation();
  if (bare.ok() && bare->info().cooperative_matrix) return std::move(bare).value();
  return std::nullopt;
}

// Declares `device`, which has cooperative matrices, or skips the test; fails it where the driver
// is known to have them: there a lack is ours.
#define CALDERA_REQUIRE_MATRIX_DEVICE(device)                                        \
  CALDERA_REQUIRE_DEVICE(shared_##device);                                           \
  const auto found_##device = matrix_device(shared_##device);                        \
  if (!found_##device) {                                                             \
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_matrices(),                           \
                              shared_##device.info().name + " has no such matrices") \
  }                                                                                  \
  const Device& device = *found_##device

// Runs the pipeline on `tiles` matrices along m and n and steps along k: a and b are bindings 0 and
// 1, as halves, `out` is binding 2, and (n, k) are its push constants.
Status multiply(DeviceImpl& device, const Pipeline& pipeline, const MatrixSides& sides,
                std::span<const float> a, std::span<const float> b, std::span<float> out,
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
                     Buffer::create(self, out.size_bytes(), MemoryKind::kReadback, "the product"));
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
  std::memcpy(out.data(), made.mapped().data(), out.size_bytes());
  return {};
}

TEST(CooperativeMatrix, ShapesAreToldWhereTheDeviceHasThem) {
  CALDERA_REQUIRE_MATRIX_DEVICE(device);
  const Capabilities& can = device.impl().capabilities();
  EXPECT_TRUE(can.cooperative_matrix);
  ASSERT_FALSE(can.cooperative_matrix_shapes.empty());
  for (const CooperativeMatrixShape& shape : can.cooperative_matrix_shapes) {
    EXPECT_GT(shape.m, 0u);
    EXPECT_GT(shape.n, 0u);
    EXPECT_GT(shape.k, 0u);
  }
}

TEST(CooperativeMatrix, ProductsOfHalvesSumInFloat) {
  CALDERA_REQUIRE_MATRIX_DEVICE(device);
  const Capabilities& can = device.impl().capabilities();
  if (!can.fp16) {
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_matrices(), device.info().name + " has no f16")
  }

  int tried = 0;
  for (const CooperativeMatrixShape& shape : can.cooperative_matrix_shapes) {
    if (shape.a != ComponentType::kFloat16 || shape.b != ComponentType::kFloat16 ||
        shape.c != ComponentType::kFloat32 || shape.result != ComponentType::kFloat32) {
      continue;
    }
    SCOPED_TRACE(fmt::format("{} x {} x {}", shape.m, shape.n, shape.k));
    ++tried;
    const MatrixSides sides{shape.m, shape.n, shape.k};
    const MatrixPipeline pipeline(device.impl(), sides);
    ASSERT_TRUE(pipeline.get());
    const std::array<uint32_t, 3> tiles = {2, 3, 4};
    const uint32_t m = tiles[0] * shape.m;
    const uint32_t n = tiles[1] * shape.n;
    const uint32_t k = tiles[2] * shape.k;
    const std::vector<float> a = quarters(size_t{m} * k, 1);
    const std::vector<float> b = quarters(size_t{k} * n, 2);
    std::vector<float> d(size_t{m} * n);
    const Status status = multiply(device.impl(), *pipeline.get(), sides, a, b, d, tiles);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(d, product(a, b, m, n, k));
  }
  if (tried == 0) {
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_matrices(),
                              device.info().name + " has no shape of f16 with f32 sums")
  }
}

}  // namespace
}  // namespace caldera
