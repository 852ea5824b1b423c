// A product of matrices by VK_NV_cooperative_matrix2, in sizes that no list of the device has, with
// a function applied to each sum: the compiler, the features enabled and the granularities told fit
// together.
#include "spirv/cooperative_matrix2.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/device_impl.h"
#include "tests/runtime/matrix_pipeline.h"
#include "tests/support/device.h"

namespace caldera {
namespace {

TEST(CooperativeMatrix2, GranularitiesAreToldWhereTheDeviceHasThem) {
  CALDERA_REQUIRE_MATRIX_DEVICE(device, &DeviceInfo::cooperative_matrix2,
                                test::driver_has_flexible_matrices());
  const Capabilities& can = device.impl().capabilities();
  EXPECT_TRUE(can.cooperative_matrix);
  EXPECT_TRUE(can.cooperative_matrix2);
  ASSERT_FALSE(can.flexible_matrices.granularities.empty());
  for (const CooperativeMatrixShape& granularity : can.flexible_matrices.granularities) {
    for (const uint32_t side : {granularity.m, granularity.n, granularity.k}) {
      EXPECT_GT(side, 0u);
      EXPECT_LE(side, can.flexible_matrices.max_side);
    }
  }
}

TEST(CooperativeMatrix2, TakesMatricesOfAnySizeAndChangesEachElement) {
  CALDERA_REQUIRE_MATRIX_DEVICE(device, &DeviceInfo::cooperative_matrix2,
                                test::driver_has_flexible_matrices());
  const Capabilities& can = device.impl().capabilities();
  if (!can.fp16) {
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_flexible_matrices(),
                              device.info().name + " has no f16")
  }

  const auto& granularities = can.flexible_matrices.granularities;
  const auto multiplies_halves_into = [&](ComponentType sums) {
    return std::ranges::find_if(granularities, [&](const CooperativeMatrixShape& shape) {
      return shape.a == ComponentType::kFloat16 && shape.b == ComponentType::kFloat16 &&
             shape.c == sums && shape.result == sums;
    });
  };
  const auto floats = multiplies_halves_into(ComponentType::kFloat32);
  const auto halves = multiplies_halves_into(ComponentType::kFloat16);  // For what is stored.
  if (floats == granularities.end() || halves == granularities.end()) {
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_flexible_matrices(),
                              device.info().name + " sums products of halves in no such matrix")
  }
  const uint32_t least_m = std::max(floats->m, halves->m);
  const uint32_t least_n = std::max(floats->n, halves->n);

  const std::array<std::array<uint32_t, 3>, 4> multiples = {
      {{1, 1, 1}, {2, 1, 1}, {1, 3, 2}, {2, 4, 1}}};
  for (const auto& [times_m, times_n, times_k] : multiples) {
    const test::MatrixSides sides{times_m * least_m, times_n * least_n, times_k * floats->k};
    SCOPED_TRACE(fmt::format("{} x {} x {}", sides.m, sides.n, sides.k));
    const test::MatrixPipeline pipeline(device.impl(), cooperative_matrix2_spirv, sides);
    ASSERT_TRUE(pipeline.get());
    const std::array<uint32_t, 3> tiles = {2, 3, 2};
    const uint32_t m = tiles[0] * sides.m;
    const uint32_t n = tiles[1] * sides.n;
    const uint32_t k = tiles[2] * sides.k;
    // Of -1, 0 and 1: whole numbers that f16 holds exactly after the sum.
    std::vector<float> a = test::quarters(size_t{m} * k, 1);
    std::vector<float> b = test::quarters(size_t{k} * n, 2);
    for (std::vector<float>* operand : {&a, &b}) {
      for (float& value : *operand) value = value > 1 ? 1.0f : value < -1 ? -1.0f : 0.0f;
    }
    std::vector<uint16_t> expected;
    const std::vector<float> sums = test::product(a, b, m, n, k);
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto row = static_cast<float>(i / n % sides.m);
      const auto column = static_cast<float>(i % n % sides.n);
      expected.push_back(test::half_bits(sums[i] + 2 * row - column));
    }
    std::vector<uint16_t> d(sums.size());
    const Status status = test::multiply(device.impl(), *pipeline.get(), sides, a, b,
                                         std::as_writable_bytes(std::span(d)), tiles);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(d, expected);
  }
}

}  // namespace
}  // namespace caldera
