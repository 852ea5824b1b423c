// Products of matrices of halves by shaders that are a test's own: their operands, which are exact,
// their pipelines, and the device that they need.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "caldera/device.h"

#include "runtime/compute_pipeline.h"

namespace caldera::test {

// Of a number that f16 holds exactly.
uint16_t half_bits(float value);

// Multiples of 1/4 of at most 4: sums of their products are exact in f32, so results compare equal.
std::vector<float> quarters(size_t count, uint32_t seed);

// a [m, k], b [k, n]
std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, uint32_t m,
                           uint32_t n, uint32_t k);

// Sides of one matrix of sums, and how far a step goes along k.
struct MatrixSides {
  uint32_t m = 0;
  uint32_t n = 0;
  uint32_t k = 0;
};

// Of a shader with the specialization constants (subgroup size, m, n, k).
class MatrixPipeline {
 public:
  MatrixPipeline(DeviceImpl& device, std::span<const uint32_t> spirv, const MatrixSides& sides);
  ~MatrixPipeline();
  MatrixPipeline(const MatrixPipeline&) = delete;
  MatrixPipeline& operator=(const MatrixPipeline&) = delete;

  // Null where something failed.
  const Pipeline* get() const { return pipeline_.handle ? &pipeline_ : nullptr; }

 private:
  DeviceImpl& device_;
  ShaderLayout layout_;
  Pipeline pipeline_;
};

// The shared device, or where the validation layers are older than what `has` asks for, one without
// them.
std::optional<Device> matrix_device(const Device& shared, bool DeviceInfo::*has);

// Declares `device`, which has what `has` asks for, or skips the test; fails it where `known` says
// that the driver has it: there a lack is ours.
#define CALDERA_REQUIRE_MATRIX_DEVICE(device, has, known)                                   \
  CALDERA_REQUIRE_DEVICE(shared_##device);                                                  \
  const auto found_##device = test::matrix_device(shared_##device, has);                    \
  if (!found_##device) {                                                                    \
    CALDERA_SKIP_UNLESS_KNOWN(known, shared_##device.info().name + " has no such matrices") \
  }                                                                                         \
  const Device& device = *found_##device

// Runs the pipeline on `tiles` matrices along m and n and steps along k: a and b are bindings 0 and
// 1, as halves, `out` is binding 2, and (n, k) are its push constants.
Status multiply(DeviceImpl& device, const Pipeline& pipeline, const MatrixSides& sides,
                std::span<const float> a, std::span<const float> b, std::span<std::byte> out,
                std::array<uint32_t, 3> tiles);

}  // namespace caldera::test
