// What a training asks of the host: few buffers, command pools, fences and waits, however many
// states a net has.
#include "runtime/device_impl.h"
#include "tests/models/fit/fit_runs.h"

namespace caldera::test {
namespace {

// With a buffer, a command pool, a fence and a wait for each state that was read, states that went
// through the host twice an epoch, and a new session for each validation, these 18 steps took 2,496
// buffers, 2,474 command pools, as many fences, and 2,495 waits.
TEST_F(FitTest, MakesFewBuffersAndWaitsLittle) {
  CALDERA_REQUIRE_DEVICE(device);
  const DeviceCounts before = device.impl().counts();
  Records records;
  trained(fit_of_everything(), records.observer());
  const DeviceCounts after = device.impl().counts();
  ASSERT_EQ(records.steps.size(), 18u);
  // Three sessions, of which the two that train have two of each staging buffer; six batches of
  // bytes at most, which lie with the loader, under way or begun, and are brought in by a list of
  // commands in either session; and what is read and written at once.
  EXPECT_LE(after.buffers - before.buffers, 21u + 6u);
  EXPECT_LE(after.command_pools - before.command_pools, 6u + 2u * 6u);
  EXPECT_LE(after.fences - before.fences, 6u + 2u * 6u);
  // 18 steps, nine batches validated, the states read at the end of each epoch and of the run.
  EXPECT_LE(after.waits - before.waits, 18u + 9u + 4u + 2u);
}

// By the time a step is told of, the next one's forward pass is on the device.
TEST_F(FitTest, BeginsTheNextStepBeforeItLooksAtTheLast) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 2;
  options.session.submit_seconds = 1e6;  // Nothing is cut, however slow the machine is.
  const auto submits = [&] { return device.impl().counts().submits; };
  uint64_t before = 0;
  FitObserver observer;
  observer.on_start = [&](const FitObserver::Start&) { before = submits(); };
  std::vector<uint64_t> submitted;  // Since then, by step.
  observer.on_step = [&](const StepRecord&) {
    submitted.push_back(submits() - before);
    // The loader has the next batches ready then: where it has not, there is nothing to begin.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  };
  trained(options, observer);
  ASSERT_EQ(submitted.size(), 12u);
  // Each step is three submits: its images brought in, its forward pass, the rest. The last of an
  // epoch has none behind.
  for (const size_t step : {2u, 3u, 4u}) EXPECT_EQ(submitted[step - 1], 3 * step + 2) << step;
  EXPECT_EQ(submitted[5], 18u);
}

// Where each dispatch is timed, images travel as floats.
TEST_F(FitTest, TrainsToTheSameBitsByBytesAsByFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  (void)device;
  for (const BatchNormMode mode : {BatchNormMode::kTrain, BatchNormMode::kFrozen}) {
    for (const double mixup : {0.0, 0.4}) {
      FitOptions options = fit_of_everything();
      options.epochs = 2;
      options.spec.batch_norm = mode;
      options.augmentation.erasing.probability = 0.5;
      options.mixup = mixup;
      const FitResult bytes = trained(options);
      options.session.profile = true;
      expect_same(bytes, trained(options));
    }
  }
}

}  // namespace
}  // namespace caldera::test
