// What a training asks of the host: few buffers, command pools, fences and waits, however many
// states a net has.
#include "runtime/device_impl.h"
#include "tests/models/fit/fit_runs.h"

namespace caldera::test {
namespace {

// When each state was read through a buffer, a command pool, a fence and a wait of its own, and
// each epoch made the sessions of its small batch and its validation again, these 18 steps took
// 2,496 buffers, 2,474 command pools, as many fences, and 2,495 waits.
TEST_F(FitTest, MakesFewBuffersAndWaitsLittle) {
  CALDERA_REQUIRE_DEVICE(device);
  const DeviceCounts before = device.impl().counts();
  Records records;
  trained(fit_of_everything(), records.observer());
  const DeviceCounts after = device.impl().counts();
  ASSERT_EQ(records.steps.size(), 18u);
  EXPECT_LE(after.buffers - before.buffers, 40u);
  EXPECT_LE(after.command_pools - before.command_pools, 8u);
  EXPECT_LE(after.fences - before.fences, 8u);
  EXPECT_LE(after.waits - before.waits, 18u + 22u);
}

}  // namespace
}  // namespace caldera::test
