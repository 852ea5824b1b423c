// The pieces of work that measure_peak() times, one function each, so that a test may hold them
// against each other.
#pragma once

#include <cstdint>

#include "caldera/device.h"

#include "runtime/buffer.h"
#include "runtime/shader.h"

namespace caldera {

// Each gives seconds from submission to the end.

// The work of one dispatch of a shader multiply_add_*. `steps`: a multiple of kPeakUnrolled.
constexpr uint32_t kPeakSteps = 512;
Result<double> time_multiply_adds(const Device& device, ShaderId shader, uint64_t workgroups,
                                  uint32_t steps = kPeakSteps);
// What one workgroup of it computes in kPeakSteps, a multiply-add counted as two.
double flops_of_workgroup(ShaderId shader);

// Of `count` copies one after another, by the driver's own command or by a shader.
enum class CopyWay : uint8_t { kCommand, kShader };
Result<double> time_copies(const Device& device, CopyWay way, const Buffer& from, const Buffer& to,
                           uint64_t bytes, uint64_t count);

// Of `count` dispatches without work, each waiting for the one before.
Result<double> time_empty_dispatches(const Device& device, uint64_t count);

}  // namespace caldera
