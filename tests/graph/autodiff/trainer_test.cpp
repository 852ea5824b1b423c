// Trainer: a batch in parts, states out and in again, gradients that are no numbers, what it
// refuses.
#include "caldera/trainer.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/reference.h"

#include "tests/graph/random_operands.h"
#include "tests/graph/training_run.h"
#include "tests/support/device.h"

namespace caldera {
namespace {

using testing::HasSubstr;

constexpr int64_t kClasses = 6;

Graph net(int64_t batch, float dropout = 0) {
  GraphBuilder b;
  ValueId x = b.input("x", {batch, 3, 9, 9});
  x = b.relu("relu1", b.batch_norm("bn1", b.conv2d("conv1", x, 12, {3, 3}, {.padding = {1, 1}})));
  ValueId y = b.batch_norm("bn2", b.conv2d("conv2", x, 12, {3, 3}, {.padding = {1, 1}}));
  x = b.relu("relu2", b.add("add", y, x));
  x = b.flatten("flatten", b.adaptive_avg_pool2d("pool", x, {{1, 1}}));
  if (dropout > 0) x = b.dropout("dropout", x, {dropout});
  b.output(b.linear("fc", x, kClasses));
  return std::move(b).finish().value();
}

TrainerOptions options(BatchNormMode mode = BatchNormMode::kTrain) {
  TrainerOptions result;
  result.spec.batch_norm = mode;
  result.spec.optimizer = {.momentum = 0.9f, .weight_decay = 1e-3f};
  return result;
}

using Floats = std::vector<float>;

Floats floats(const Tensor& tensor) {
  return {tensor.floats().begin(), tensor.floats().end()};
}

Weights states_of(const Trainer& trainer) {
  const auto states = trainer.states();
  EXPECT_TRUE(states.ok());
  return *states;
}

struct Data {
  explicit Data(int64_t batch)
      : images(test::random_inputs(net(batch))[0]),
        targets(test::one_hot_targets({batch, kClasses})) {}
  Floats images;
  Floats targets;
};

class TrainerTest : public testing::Test {
 protected:
  const Weights weights_ = test::random_weights(net(1));
};

TEST_F(TrainerTest, ABatchInPartsGivesWhatTheWholeGivesWhereBatchNormIsFrozen) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data data(8);
  Trainer whole =
      Trainer::create(device, net(8), weights_, options(BatchNormMode::kFrozen)).value();
  Trainer parts =
      Trainer::create(device, net(4), weights_, options(BatchNormMode::kFrozen)).value();
  const auto half = [](const Floats& values, size_t which) {
    return std::span(values).subspan(which * values.size() / 2, values.size() / 2);
  };
  for (int step = 0; step < 3; ++step) {
    const StepResult a = whole.step(data.images, data.targets, 0.1f).value();
    const StepResult first = parts.accumulate(half(data.images, 0), half(data.targets, 0)).value();
    const StepResult b = parts.step(half(data.images, 1), half(data.targets, 1), 0.1f).value();
    EXPECT_NEAR(first.loss + b.loss, a.loss, 1e-5 * a.loss);
    EXPECT_NEAR(b.gradient_norm, a.gradient_norm, 1e-4 * a.gradient_norm);
  }
  EXPECT_EQ(whole.updates(), 3);
  EXPECT_EQ(parts.updates(), 3);
  EXPECT_EQ(parts.runs(), 6);
  const Weights expected = states_of(whole);
  for (const auto& [name, tensor] : states_of(parts)) {
    const Floats values = floats(tensor);
    EXPECT_LE(relative_l2(values, floats(expected.find(name)->second)), 1e-4) << name;
  }
}

TEST_F(TrainerTest, GoesOnToTheSameBitsFromStatesTakenOut) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data data(4);
  TrainerOptions adam = options();
  adam.spec.optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2f};
  adam.seed = 5;
  const auto make = [&] { return Trainer::create(device, net(4, 0.4f), weights_, adam).value(); };
  Trainer unbroken = make();
  Trainer first = make();
  for (int step = 0; step < 2; ++step) {
    ASSERT_TRUE(unbroken.step(data.images, data.targets, 0.01f).ok());
    ASSERT_TRUE(first.step(data.images, data.targets, 0.01f).ok());
  }
  Trainer second = make();
  ASSERT_TRUE(second.set_states(states_of(first)).ok());
  second.set_updates(first.updates());
  second.set_runs(first.runs());
  const double a = unbroken.step(data.images, data.targets, 0.01f).value().loss;
  EXPECT_EQ(second.step(data.images, data.targets, 0.01f).value().loss, a);
  const Weights expected = states_of(unbroken);
  for (const auto& [name, tensor] : states_of(second)) {
    EXPECT_EQ(floats(tensor), floats(expected.find(name)->second)) << name;
  }
}

TEST_F(TrainerTest, LeavesEverythingAsItWasWhereAGradientIsNoNumber) {
  CALDERA_REQUIRE_DEVICE(device);
  Data data(4);
  Trainer trainer =
      Trainer::create(device, net(4), weights_, options(BatchNormMode::kFrozen)).value();
  ASSERT_FALSE(trainer.step(data.images, data.targets, 0.1f).value().skipped);
  const Weights before = states_of(trainer);
  const Floats good = data.images;
  data.images[7] = std::numeric_limits<float>::quiet_NaN();
  const StepResult bad = trainer.step(data.images, data.targets, 0.1f).value();
  EXPECT_TRUE(bad.skipped);
  EXPECT_EQ(trainer.updates(), 1);
  for (const auto& [name, tensor] : states_of(trainer)) {
    EXPECT_EQ(floats(tensor), floats(before.find(name)->second)) << name;
  }
  EXPECT_FALSE(trainer.step(good, data.targets, 0.1f).value().skipped);
}

TEST_F(TrainerTest, TunesItsConvolutionsWhereAsked) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const Device device = Device::open().value();
  const Data data(4);
  TrainerOptions tuned = options();
  tuned.session.tune = true;
  auto trainer = Trainer::create(device, net(4), weights_, tuned);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  Trainer untuned = Trainer::create(device, net(4), weights_, options()).value();
  const double loss = untuned.step(data.images, data.targets, 0.1f).value().loss;
  EXPECT_NEAR(trainer->step(data.images, data.targets, 0.1f).value().loss, loss, 1e-4 * loss);
}

// A scale too large at first is found out by steps that change nothing.
TEST_F(TrainerTest, FindsALossScaleAndTrainsInHalvesAsInFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data data(4);
  TrainerOptions mixed = options();
  mixed.session.precision = Precision::kFp16;
  mixed.loss_scale = {.initial = 0x1p24f, .growth_interval = 3};
  Trainer halves = Trainer::create(device, net(4), weights_, mixed).value();
  Trainer floats_ = Trainer::create(device, net(4), weights_, options()).value();
  if (!device.info().fp16) {
    EXPECT_EQ(halves.session().precision(), Precision::kFp32);
    EXPECT_EQ(halves.loss_scale(), 1);
    return;
  }
  int skipped = 0;
  while (halves.updates() == 0 && skipped < 30) {
    const StepResult result = halves.step(data.images, data.targets, 0.05f).value();
    EXPECT_EQ(result.rescaled, result.skipped);
    skipped += result.skipped;
  }
  EXPECT_GT(skipped, 0);
  EXPECT_EQ(halves.loss_scale(), std::ldexp(1.0f, 24 - skipped));
  double loss = floats_.step(data.images, data.targets, 0.05f).value().loss;
  for (int step = 1; step < 6; ++step) {
    loss = floats_.step(data.images, data.targets, 0.05f).value().loss;
    StepResult result = halves.step(data.images, data.targets, 0.05f).value();
    while (result.skipped) result = halves.step(data.images, data.targets, 0.05f).value();
    EXPECT_NEAR(result.loss, loss, 2e-2 * loss) << step;
  }
  EXPECT_EQ(halves.updates(), 6);
}

TEST_F(TrainerTest, TellsTheNormOfEachParametersGradient) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data data(4);
  Trainer trainer = Trainer::create(device, net(4), weights_, options()).value();
  const StepResult result = trainer.accumulate(data.images, data.targets).value();
  const Weights states = states_of(trainer);
  const std::vector<double> norms = trainer.gradient_norms();
  ASSERT_EQ(norms.size(), trainer.parameters().size());
  double all = 0;
  for (size_t i = 0; i < norms.size(); ++i) {
    double square = 0;
    const std::string name = state_name(trainer.parameters()[i], "grad");
    for (const float value : states.find(name)->second.floats()) square += double{value} * value;
    EXPECT_NEAR(norms[i], std::sqrt(square), 1e-5 * std::sqrt(square)) << name;
    all += square;
  }
  EXPECT_NEAR(result.gradient_norm, std::sqrt(all), 1e-5 * std::sqrt(all));
}

TEST_F(TrainerTest, RefusesWhatItCannotDo) {
  CALDERA_REQUIRE_DEVICE(device);
  TrainerOptions frozen = options();
  frozen.spec.trainable = [](std::string_view) { return false; };
  const auto nothing = Trainer::create(device, net(4), weights_, frozen);
  ASSERT_FALSE(nothing.ok());
  EXPECT_THAT(nothing.error().message, HasSubstr("frozen"));

  // One value a channel has no variance.
  GraphBuilder b;
  b.output(b.linear("fc", b.batch_norm("bn", b.input("x", {1, 8})), 3));
  const Graph one = std::move(b).finish().value();
  const auto single = Trainer::create(device, one, test::random_weights(one), options());
  ASSERT_FALSE(single.ok());
  EXPECT_THAT(single.error().message, HasSubstr("bn"));
  EXPECT_THAT(single.error().message, HasSubstr("larger batch"));

  Trainer trainer = Trainer::create(device, net(4), weights_, options()).value();
  const Data wrong(2);
  EXPECT_FALSE(trainer.step(wrong.images, wrong.targets, 0.1f).ok());
  EXPECT_FALSE(trainer.session().fork().ok());
}

}  // namespace
}  // namespace caldera
