// Whole trainings in mixed precision: that they learn as those in floats do, what a skipped step
// is, that a stopped run goes on to the same bits, and what is told where no loss scale helps. On a
// device without halves they are in floats.
#include <algorithm>
#include <cmath>
#include <functional>

#include <gmock/gmock.h>

#include "tests/models/fit/fit_runs.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

#define CALDERA_REQUIRE_HALVES(device)           \
  if (!device.info().fp16)                       \
  CALDERA_SKIP_UNLESS_KNOWN(driver_has_halves(), \
                            "the device has no " \
                            "fp16")

FitOptions mixed(FitOptions options) {
  options.session.precision = Precision::kFp16;
  return options;
}

// One that overflows at first, and again each time that it has grown.
FitOptions much_too_high(FitOptions options) {
  options.loss_scale = {.initial = 0x1p24f, .growth = 4, .growth_interval = 3};
  return mixed(std::move(options));
}

class MixedPrecisionTest : public FitTest {};

TEST_F(MixedPrecisionTest, LearnsAsInFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 4;
  options.batch = 7;  // None of a single image, whose statistics make noise of rounding.
  options.schedule.learning_rate = 0.01;
  const FitResult floats = trained(options);
  const FitResult halves = trained(mixed(options));
  EXPECT_EQ(floats.precision, Precision::kFp32);
  EXPECT_EQ(floats.loss_scale, 1);
  EXPECT_EQ(floats.skipped_steps, 0);
  if (!device.info().fp16) {
    EXPECT_FALSE(driver_has_halves());
    EXPECT_EQ(halves.precision, Precision::kFp32);
    expect_same(halves, floats);
    return;
  }
  EXPECT_EQ(halves.precision, Precision::kFp16);
  EXPECT_NEAR(halves.epochs.front().loss, floats.epochs.front().loss, 0.1);
  EXPECT_LT(halves.epochs.back().loss, halves.epochs.front().loss / 2);
  EXPECT_GE(floats.epochs.back().validation->correct, 8);
  EXPECT_GE(halves.epochs.back().validation->correct, 8);
  // Master weights are floats: few of them are halves.
  const Tensor conv1 = halves.model.weights().at("conv1.weight");
  const auto is_half = [](float value) {
    return std::fmod(value, std::ldexp(1.0f, std::ilogb(value) - 10)) == 0;
  };
  EXPECT_LT(std::ranges::count_if(conv1.floats(), is_half), std::ssize(conv1.floats()) / 100);
}

TEST_F(MixedPrecisionTest, CountsSkippedStepsAndGoesOnWithASmallerLossScale) {
  CALDERA_REQUIRE_DEVICE(device);
  CALDERA_REQUIRE_HALVES(device)
  FitOptions options = much_too_high(quick_fit());
  options.epochs = 6;
  Records records;
  const FitResult result = trained(options, records.observer());
  const auto& [steps, epochs] = records;

  // A skipped step is a step of the schedule and of the epoch, and keeps its loss.
  ASSERT_EQ(steps.size(), 36u);
  EXPECT_EQ(result.steps, 36);
  double scale = 0x1p24;
  int64_t skipped = 0, at_scale = 0;
  std::vector<int64_t> by_epoch(6);
  for (size_t i = 0; i < steps.size(); ++i) {
    const StepRecord& step = steps[i];
    SCOPED_TRACE(step.step);
    EXPECT_EQ(step.step, static_cast<int64_t>(i) + 1);
    Schedule schedule = options.schedule;
    schedule.epochs = 6;
    schedule.steps_an_epoch = 6;
    EXPECT_EQ(step.learning_rate, learning_rate(schedule, static_cast<int64_t>(i)));
    EXPECT_TRUE(std::isfinite(step.loss));
    EXPECT_EQ(std::isfinite(step.gradient_norm), !step.skipped);
    // The scale and its age go on through the trainers of four images and of one.
    EXPECT_EQ(step.loss_scale, scale);
    if (step.skipped) {
      ++skipped;
      ++by_epoch[static_cast<size_t>(step.epoch)];
      scale /= 2;
      at_scale = 0;
    } else if (++at_scale == 3) {
      scale *= 4;
      at_scale = 0;
    }
  }
  EXPECT_EQ(result.loss_scale, scale);
  EXPECT_EQ(result.skipped_steps, skipped);
  EXPECT_TRUE(steps[0].skipped);
  EXPECT_TRUE(std::any_of(steps.begin() + 12, steps.end(), [](auto& step) { return step.skipped; }))
      << "it grows until it overflows again";
  EXPECT_FALSE(std::all_of(steps.begin() + 12, steps.end(), [](auto& s) { return s.skipped; }));
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(epochs[i].skipped_steps, by_epoch[i]) << i;
  // Adam's t, and PyTorch's optimizer that is gone on with, know of updates alone.
  EXPECT_EQ(result.optimizer.updates, 36 - skipped);
  EXPECT_LT(epochs.back().loss, epochs.front().loss);
}

TEST_F(MixedPrecisionTest, SkipsAStepOfWhichOnePartOverflows) {
  CALDERA_REQUIRE_DEVICE(device);
  CALDERA_REQUIRE_HALVES(device)
  FitOptions options = much_too_high(quick_fit());
  options.accumulate = 2;
  const Model before = photo_model();
  std::vector<StepRecord> steps;
  FitObserver observer;
  observer.on_step = [&](const StepRecord& step) { steps.push_back(step); };
  observer.stop = [&] { return steps.size() == 1; };
  const FitResult result = trained(options, observer);
  EXPECT_EQ(result.skipped_steps, 1);
  EXPECT_EQ(result.loss_scale, 0x1p23f);
  const Tensor now = result.model.weights().at("linear.weight");
  EXPECT_TRUE(std::ranges::equal(now.bytes(), before.weights().at("linear.weight").bytes()));
  observer.stop = {};
  EXPECT_GT(trained(options, observer).optimizer.updates, 0);
}

TEST_F(MixedPrecisionTest, GoesOnToTheSameBitsFromAnyStep) {
  CALDERA_REQUIRE_DEVICE(device);
  CALDERA_REQUIRE_HALVES(device)
  const FitOptions options = much_too_high(fit_of_everything());
  const FitResult whole = trained(options);
  EXPECT_GT(whole.skipped_steps, 0);
  EXPECT_LT(whole.skipped_steps, 15);
  // Among skipped steps, before the small batch, and where the scale has stood for a while.
  expect_goes_on(options, {2, 5, 13, 14}, whole);
}

// Batch-norm multiplies the gradient of a layer that gives zeros beyond all halves.
TEST_F(MixedPrecisionTest, NamesTheLayerWhereNoLossScaleHelps) {
  CALDERA_REQUIRE_DEVICE(device);
  CALDERA_REQUIRE_HALVES(device)
  const Model model = photo_model();
  Weights weights = model.weights();
  const auto fill = [&](const std::string& name, float value) {
    const Shape shape = weights.at(name).shape();
    const auto count = static_cast<size_t>(element_count(shape));
    weights.insert_or_assign(name, Tensor::from_floats(shape, std::vector<float>(count, value)));
  };
  fill("layer3.2.conv2.weight", 0);
  fill("layer3.2.bn2.weight", 1e9f);
  const Model wild =
      Model::from_weights(model.architecture(), model.preprocess(), model.labels(), weights)
          .value();
  for (const int64_t parts : {1, 2}) {
    SCOPED_TRACE(parts);
    FitOptions options = mixed(quick_fit());
    options.accumulate = parts;
    options.loss_scale.initial = 8;
    int64_t skipped = 0;
    FitObserver observer;
    observer.on_step = [&](const StepRecord& step) { skipped += step.skipped; };
    const auto result = fit(device, wild, data_, options, observer);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(skipped, 3);  // At 8, 4 and 2.
    EXPECT_THAT(result.error().message,
                AllOf(HasSubstr(parts == 1 ? "step 4 (epoch 1" : "step 4 (epoch 2"),
                      HasSubstr("first in layer3.2.bn2"), HasSubstr("train in fp32")));
  }
}

// The scale has no part in it, and the running statistics would be spoilt.
TEST_F(MixedPrecisionTest, StopsAtOnceWhereTheLossIsNoNumber) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = mixed(quick_fit());
  options.schedule.learning_rate = 1e30;
  int64_t steps = 0;
  FitObserver observer;
  observer.on_step = [&](const StepRecord& step) { steps += !step.skipped; };
  EXPECT_THAT(
      [&] {
        const auto result = train(options, observer);
        return result.ok() ? std::string() : result.error().message;
      }(),
      HasSubstr("first in "));
  EXPECT_EQ(steps, 1);
}

TEST_F(MixedPrecisionTest, GoesOnInThePrecisionItBeganWithAlone) {
  CALDERA_REQUIRE_DEVICE(device);
  const FitOptions floats = leave(quick_fit(), "floats");
  if (!device.info().fp16) {
    EXPECT_EQ(refusal(mixed(floats)), "") << "it is in floats either way";
    change_metadata(floats.resume, R"("precision":"fp32")", R"("precision":"mixed")");
    EXPECT_THAT(refusal(mixed(floats)),
                AllOf(HasSubstr("this run is in mixed precision, and " + device.info().name),
                      HasSubstr("on a device that has")));
    return;
  }
  EXPECT_THAT(refusal(mixed(floats)),
              AllOf(HasSubstr("precision was 'fp32' and is 'mixed'"), Not(HasSubstr("scale"))));
  FitOptions halves = leave(mixed(quick_fit()), "halves");
  EXPECT_EQ(refusal(halves), "");
  halves.loss_scale.growth_interval = 7;
  EXPECT_THAT(refusal(halves),
              HasSubstr("precision was 'mixed' and is 'mixed, loss scale 65536 2 7"));
  halves.session.precision = Precision::kFp32;
  EXPECT_THAT(refusal(halves), HasSubstr("precision was 'mixed' and is 'fp32'"));
}

// Those that were written before there was mixed precision.
TEST_F(MixedPrecisionTest, OfAFileWithoutALossScaleIsInFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 2;
  const FitResult whole = trained(options);
  write_checkpoints(options, "old");
  FitObserver observer;
  int64_t done = 0;
  observer.on_step = [&](const StepRecord&) { ++done; };
  observer.stop = [&] { return done == 8; };
  trained(options, observer);
  options.resume = last_checkpoint(options.checkpoints);
  change_metadata(options.resume, R"("loss_scale":1.0,)", "");
  change_metadata(options.resume, R"("updates_at_scale":0,)", "");
  change_metadata(options.resume, R"("skipped_steps":0,)", "");  // Of the epoch done,
  change_metadata(options.resume, R"("skipped_steps":0,)", "");  // and of the other.
  expect_same(trained(options), whole);
}

TEST_F(MixedPrecisionTest, RefusesDamagedNumbers) {
  CALDERA_REQUIRE_DEVICE(device);
  CALDERA_REQUIRE_HALVES(device)
  const FitOptions good = leave(mixed(quick_fit()), "run");
  const auto damaged = [&](const std::string& what, const std::string& with) {
    return damaged_refusal(good, what, with);
  };
  for (const char* with : {"0.0,", "-2.0,", "1e39,", "null,"}) {
    EXPECT_THAT(damaged(R"("loss_scale":65536.0,)", std::string("\"loss_scale\":") + with),
                HasSubstr("damaged"))
        << with;
  }
  EXPECT_THAT(damaged(R"("updates_at_scale":)", R"("updates_at_scale":9999)"),
              HasSubstr("damaged"));
  EXPECT_THAT(damaged(R"("skipped_steps":)", R"("skipped_steps":-9)"), HasSubstr("damaged"));
  EXPECT_THAT(damaged(R"("skipped_steps":)", R"("skipped_steps":922337203685477580)"),
              HasSubstr("damaged"));
}

}  // namespace
}  // namespace caldera::test
