// What a device is measured to do at best: figures that can be figures, and work that takes longer
// the more there is of it. How large they are is the machine's affair.
#include "caldera/device_peak.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "runtime/device_impl.h"
#include "runtime/peak_work.h"
#include "tests/support/device.h"

namespace caldera {
namespace {

using Timed = std::function<Result<double>()>;

// By the best of both, taken in turns: other programs run here too, and each turn lets the figures
// come nearer to what the work itself takes. Work that is free never takes longer.
bool takes_longer(const Timed& more, const Timed& less, double factor = 1) {
  double longer = INFINITY;
  double shorter = INFINITY;
  const auto improve = [](double& best, const Timed& time) {
    const Result<double> seconds = time();
    EXPECT_TRUE(seconds.ok()) << seconds.error().message;
    if (seconds.ok()) best = std::min(best, *seconds);
  };
  for (int turn = 0; turn < 40; ++turn) {
    improve(longer, more);
    improve(shorter, less);
    if (turn >= 4 && longer > factor * shorter) return true;
  }
  return false;
}

TEST(DevicePeak, IsFiniteAndPositive) {
  CALDERA_REQUIRE_DEVICE(device);
  const Result<DevicePeak> peak = measure_peak(device);
  ASSERT_TRUE(peak.ok()) << peak.error().message;
  for (const double figure : {peak->gflops_fp32, peak->copy_gbps, peak->submit_seconds}) {
    EXPECT_TRUE(std::isfinite(figure) && figure > 0) << figure;
  }
  EXPECT_GE(peak->dispatch_seconds, 0);
  // A dispatch within a command buffer is never as slow as a millisecond.
  EXPECT_LT(peak->dispatch_seconds, 1e-3);
  EXPECT_EQ(peak->gflops_fp16 > 0, device.info().fp16);
  // One core of any machine does more than this, and no device a thousand times the largest.
  EXPECT_GT(peak->gflops_fp32, 0.1);
  EXPECT_LT(peak->gflops_fp32, 1e8);
  EXPECT_GT(peak->copy_gbps, 0.01);
  EXPECT_LT(peak->copy_gbps, 1e6);
}

// Workgroups that keep any device busy for far longer than a submit takes by itself: a GPU runs
// thousands side by side.
uint64_t workgroups_to_time(const Device& device, ShaderId shader) {
  constexpr double kManySubmits = 20;
  constexpr uint64_t kMost = uint64_t{1} << 20;
  const double submit = time_empty_dispatches(device, 1).value();
  uint64_t workgroups = 8;
  while (workgroups < kMost && time_multiply_adds(device, shader, workgroups).value() <
                                   std::max(kManySubmits * submit, 1e-3)) {
    workgroups *= 4;
  }
  return workgroups;
}

// To a compiler that folded the chains away, eight times the steps would be no more work.
TEST(DevicePeak, TheMultiplyAddsAreReallyDone) {
  CALDERA_REQUIRE_DEVICE(device);
  std::vector<ShaderId> shaders{ShaderId::multiply_add_float, ShaderId::multiply_add_vec4};
  if (device.info().fp16) shaders.push_back(ShaderId::multiply_add_f16);
  for (const ShaderId shader : shaders) {
    const uint64_t workgroups = workgroups_to_time(device, shader);
    const auto time = [&](uint32_t steps) {
      return [&, steps] { return time_multiply_adds(device, shader, workgroups, steps); };
    };
    EXPECT_TRUE(takes_longer(time(kPeakSteps), time(kPeakSteps / 8), 4)) << shader_name(shader);
    // And no device does a workgroup's million in a nanosecond.
    EXPECT_GT(time(kPeakSteps)().value(), static_cast<double>(workgroups) * 1e-9)
        << shader_name(shader);
  }
}

TEST(DevicePeak, CopyingMoreTakesLonger) {
  CALDERA_REQUIRE_DEVICE(device);
  constexpr uint64_t kBytes = uint64_t{16} << 20;
  const auto make = [&] {
    return Buffer::create(device.impl().shared_from_this(), kBytes, MemoryKind::kDevice, "a copy");
  };
  const Result<Buffer> from = make();
  const Result<Buffer> to = make();
  ASSERT_TRUE(from.ok() && to.ok());
  for (const CopyWay way : {CopyWay::kCommand, CopyWay::kShader}) {
    const auto time = [&, way](uint64_t bytes, uint64_t count) {
      return [&, way, bytes, count] { return time_copies(device, way, *from, *to, bytes, count); };
    };
    // Eight times the bytes, at once or one after the other.
    EXPECT_TRUE(takes_longer(time(kBytes, 8), time(kBytes / 8, 8), 1.5));
    EXPECT_TRUE(takes_longer(time(kBytes / 8, 64), time(kBytes / 8, 8), 1.5));
  }
}

TEST(DevicePeak, EmptyDispatchesCostLittleButNotNothing) {
  CALDERA_REQUIRE_DEVICE(device);
  const auto time = [&](uint32_t count) {
    return [&, count] { return time_empty_dispatches(device, count); };
  };
  EXPECT_GT(time(0)().value(), 0);
  EXPECT_TRUE(takes_longer(time(1000), time(0)));
}

}  // namespace
}  // namespace caldera
