// A product of matrices by VK_KHR_cooperative_matrix, in every shape that the device offers for f16
// operands with f32 accumulation: the compiler, the features enabled and the shapes told fit
// together.
#include "spirv/cooperative_matrix.h"

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

TEST(CooperativeMatrix, ShapesAreToldWhereTheDeviceHasThem) {
  CALDERA_REQUIRE_MATRIX_DEVICE(device, &DeviceInfo::cooperative_matrix,
                                test::driver_has_matrices());
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
  CALDERA_REQUIRE_MATRIX_DEVICE(device, &DeviceInfo::cooperative_matrix,
                                test::driver_has_matrices());
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
    const test::MatrixSides sides{shape.m, shape.n, shape.k};
    const test::MatrixPipeline pipeline(device.impl(), cooperative_matrix_spirv, sides);
    ASSERT_TRUE(pipeline.get());
    const std::array<uint32_t, 3> tiles = {2, 3, 4};
    const uint32_t m = tiles[0] * shape.m;
    const uint32_t n = tiles[1] * shape.n;
    const uint32_t k = tiles[2] * shape.k;
    const std::vector<float> a = test::quarters(size_t{m} * k, 1);
    const std::vector<float> b = test::quarters(size_t{k} * n, 2);
    std::vector<float> d(size_t{m} * n);
    const Status status = test::multiply(device.impl(), *pipeline.get(), sides, a, b,
                                         std::as_writable_bytes(std::span(d)), tiles);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(d, test::product(a, b, m, n, k));
  }
  if (tried == 0) {
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_matrices(),
                              device.info().name + " has no shape of f16 with f32 sums")
  }
}

}  // namespace
}  // namespace caldera
