// Trainer: a batch in parts, states out and in again, gradients that are no numbers, steps that
// begin before the one before has ended, trainers of one another's states, what it refuses.
#include "caldera/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/reference.h"

#include "runtime/device_impl.h"
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

void expect_same_states(const Trainer& a, const Trainer& b) {
  const Weights expected = states_of(b);
  for (const auto& [name, tensor] : states_of(a))
    EXPECT_EQ(floats(tensor), floats(expected.at(name))) << name;
}

// Batches that differ, and steps of all that a step takes from the one before: Adam's count, the
// loss scale with steps that are skipped and with growth, accumulation, dropout's numbers.
class Overlap : public testing::TestWithParam<Precision> {
 protected:
  Overlap() {
    options_ = options();
    options_.spec.optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2f};
    options_.spec.cumulative_statistics = true;
    options_.session.precision = GetParam();
    options_.session.frames_in_flight = 2;
    options_.loss_scale = {.initial = 0x1p18f, .growth_interval = 2};
    options_.seed = 5;
    for (int i = 0; i < 10; ++i) {
      batches_.push_back(good_.images);
      for (float& value : batches_.back()) value *= static_cast<float>(i + 1) / 4;
    }
  }

  Trainer make() const {
    return Trainer::create(*test::device(), net(4, 0.4f), weights_, options_).value();
  }
  static bool applies(size_t run) { return run % 3 != 1; }

  const Weights weights_ = test::random_weights(net(1));
  const Data good_{4};
  TrainerOptions options_;
  std::vector<Floats> batches_;
};

TEST_P(Overlap, GivesTheBitsOfStepsOneByOne) {
  CALDERA_REQUIRE_DEVICE(device);
  Trainer one_by_one = make();
  std::vector<StepResult> expected;
  std::vector<Floats> logits;
  for (size_t i = 0; i < batches_.size(); ++i) {
    const auto result = applies(i) ? one_by_one.step(batches_[i], good_.targets, 0.01f)
                                   : one_by_one.accumulate(batches_[i], good_.targets);
    expected.push_back(result.value());
    logits.emplace_back(one_by_one.logits().begin(), one_by_one.logits().end());
  }
  Trainer trainer = make();
  const DeviceCounts before = device.impl().counts();
  for (size_t i = 0; i <= batches_.size(); ++i) {
    if (i < batches_.size()) {
      ASSERT_TRUE(trainer.begin(batches_[i], good_.targets).ok());
    }
    if (i > 0) {
      const StepResult result = trainer.wait().value();
      EXPECT_EQ(result.loss, expected[i - 1].loss) << i;
      EXPECT_EQ(result.skipped, expected[i - 1].skipped) << i;
      if (!result.skipped) {
        EXPECT_EQ(result.gradient_norm, expected[i - 1].gradient_norm) << i;
      }
      EXPECT_EQ(Floats(trainer.logits().begin(), trainer.logits().end()), logits[i - 1]) << i;
    }
    if (i < batches_.size()) {
      ASSERT_TRUE(trainer.commit(applies(i) ? 0.01f : 0, applies(i)).ok());
    }
  }
  EXPECT_EQ(device.impl().counts().waits - before.waits, batches_.size());
  EXPECT_EQ(trainer.updates(), one_by_one.updates());
  EXPECT_EQ(trainer.runs(), one_by_one.runs());
  EXPECT_EQ(trainer.loss_scale(), one_by_one.loss_scale());
  EXPECT_EQ(trainer.updates_at_scale(), one_by_one.updates_at_scale());
  expect_same_states(trainer, one_by_one);
  // The scale comes into it where there is one.
  if (trainer.session().precision() == Precision::kFp16) {
    EXPECT_TRUE(std::ranges::any_of(expected, [](const StepResult& r) { return r.skipped; }));
    EXPECT_GT(trainer.updates(), 0);
  }
}

TEST_P(Overlap, ABatchThatWasOnlyBegunChangesNothing) {
  CALDERA_REQUIRE_DEVICE(device);
  Trainer one_by_one = make();
  Trainer trainer = make();
  ASSERT_TRUE(one_by_one.step(batches_[0], good_.targets, 0.01f).ok());
  ASSERT_TRUE(trainer.begin(batches_[0], good_.targets).ok());
  ASSERT_TRUE(trainer.commit(0.01f, true).ok());
  ASSERT_TRUE(trainer.begin(batches_[1], good_.targets).ok());
  ASSERT_TRUE(trainer.wait().ok());
  expect_same_states(trainer, one_by_one);
  EXPECT_EQ(trainer.runs(), 1);
  // Nor does it when it is given up, and others run as if it had never been.
  ASSERT_TRUE(trainer.cancel().ok());
  for (int step = 0; step < 3; ++step) {
    const StepResult a = one_by_one.step(batches_[2], good_.targets, 0.01f).value();
    const StepResult b = trainer.step(batches_[2], good_.targets, 0.01f).value();
    EXPECT_EQ(a.loss, b.loss);
  }
  expect_same_states(trainer, one_by_one);
  // And a trainer may go while one is begun.
  EXPECT_TRUE(trainer.begin(batches_[0], good_.targets).ok());
}

INSTANTIATE_TEST_SUITE_P(Trainers, Overlap,
                         testing::Values(Precision::kFp32, Precision::kFp16, Precision::kBf16),
                         [](const auto& test) { return std::string(precision_name(test.param)); });

// Where a step turns out to be no number, the one that was begun behind it has done nothing.
TEST_F(TrainerTest, HasTheStatesOfAStepOfNoNumberWhileTheNextIsBegun) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data good(4);
  Data bad(4);
  bad.images[7] = std::numeric_limits<float>::quiet_NaN();
  TrainerOptions two = options();
  two.session.frames_in_flight = 2;
  Trainer one_by_one = Trainer::create(device, net(4), weights_, two).value();
  ASSERT_TRUE(one_by_one.step(good.images, good.targets, 0.1f).ok());
  ASSERT_TRUE(one_by_one.step(bad.images, bad.targets, 0.1f).value().skipped);
  Trainer trainer = Trainer::create(device, net(4), weights_, two).value();
  ASSERT_TRUE(trainer.step(good.images, good.targets, 0.1f).ok());
  ASSERT_TRUE(trainer.begin(bad.images, bad.targets).ok());
  ASSERT_TRUE(trainer.commit(0.1f, true).ok());
  ASSERT_TRUE(trainer.begin(good.images, good.targets).ok());
  EXPECT_TRUE(trainer.wait().value().skipped);
  const Weights expected = states_of(one_by_one);
  for (const auto& [name, tensor] : states_of(trainer)) {
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), expected.at(name).bytes())) << name;
  }
}

TEST_F(TrainerTest, RefusesPartsOfAStepOutOfTheirOrder) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data data(4);
  TrainerOptions two = options();
  two.session.frames_in_flight = 2;
  Trainer trainer = Trainer::create(device, net(4), weights_, two).value();
  const auto begin = [&] { return trainer.begin(data.images, data.targets); };
  EXPECT_FALSE(trainer.commit(0.1f, true).ok());
  EXPECT_FALSE(trainer.wait().ok());
  EXPECT_TRUE(trainer.cancel().ok());
  const Weights states = states_of(trainer);
  ASSERT_TRUE(begin().ok());
  EXPECT_THAT(begin().error().message, HasSubstr("commit() or cancel()"));
  EXPECT_FALSE(trainer.step(data.images, data.targets, 0.1f).ok());
  EXPECT_THAT(trainer.set_states(states).error().message, HasSubstr("under way"));
  ASSERT_TRUE(trainer.commit(0.1f, true).ok());
  ASSERT_TRUE(begin().ok());
  EXPECT_THAT(trainer.commit(0.1f, true).error().message, HasSubstr("wait()"));
  ASSERT_TRUE(trainer.wait().ok());
  ASSERT_TRUE(trainer.commit(0.1f, true).ok());
  EXPECT_FALSE(trainer.step(data.images, data.targets, 0.1f).ok());
  ASSERT_TRUE(trainer.wait().ok());
  EXPECT_TRUE(trainer.set_states(states).ok());
  EXPECT_TRUE(trainer.step(data.images, data.targets, 0.1f).ok());
  // With one run at a time there is nothing to begin beside it.
  Trainer one = Trainer::create(device, net(4), weights_, options()).value();
  ASSERT_TRUE(one.begin(data.images, data.targets).ok());
  ASSERT_TRUE(one.commit(0.1f, true).ok());
  EXPECT_THAT(one.begin(data.images, data.targets).error().message, HasSubstr("frames_in_flight"));
}

// As if the states had been carried from one to the other, without a second copy of them.
TEST_F(TrainerTest, TrainsTheSameStatesByBatchesOfAnotherSize) {
  CALDERA_REQUIRE_DEVICE(device);
  const Data large(8);
  const Data small(3);
  TrainerOptions adam = options();
  adam.spec.optimizer = {.kind = OptimizerKind::kAdamW, .weight_decay = 1e-2f};
  adam.session.frames_in_flight = 2;
  const auto make = [&](int64_t batch) {
    return Trainer::create(device, net(batch, 0.4f), weights_, adam).value();
  };
  Trainer whole = make(8);
  const uint64_t before = device.allocated_bytes();
  Trainer part = whole.with_batch(net(3, 0.4f), weights_).value();
  const SessionStats stats = part.session().stats();
  EXPECT_LT(device.allocated_bytes() - before, stats.states_bytes + stats.staging_bytes);

  Trainer carried[2] = {make(8), make(3)};
  double expected = 0;
  for (int step = 0; step < 4; ++step) {
    Trainer& now = carried[step % 2];
    Trainer& then = carried[1 - step % 2];
    const Data& data = step % 2 ? small : large;
    expected = now.step(data.images, data.targets, 0.01f).value().loss;
    ASSERT_TRUE(then.set_states(states_of(now)).ok());
    then.set_updates(now.updates());
    then.set_runs(now.runs());
  }
  // One begins while the other is under way.
  double loss = 0;
  for (int step = 0; step <= 4; ++step) {
    const Data& data = step % 2 ? small : large;
    Trainer& now = step % 2 ? part : whole;
    Trainer& last = step % 2 ? whole : part;
    if (step < 4) {
      ASSERT_TRUE(now.begin(data.images, data.targets).ok());
    }
    if (step > 0) loss = last.wait().value().loss;
    if (step < 4) {
      ASSERT_TRUE(now.commit(0.01f, true).ok());
    }
  }
  EXPECT_EQ(loss, expected);
  EXPECT_EQ(whole.updates(), 4);
  EXPECT_EQ(part.updates(), 4);
  expect_same_states(whole, carried[0]);
  expect_same_states(part, carried[0]);

  // Neither begins while the other's batch is begun: they share the memory of activations. Nor is
  // it given states, which they share too.
  const Weights states = states_of(whole);
  ASSERT_TRUE(whole.begin(large.images, large.targets).ok());
  EXPECT_THAT(part.set_states(states).error().message, HasSubstr("under way"));
  EXPECT_FALSE(part.begin(small.images, small.targets).ok());
  ASSERT_TRUE(whole.cancel().ok());
  EXPECT_TRUE(part.step(small.images, small.targets, 0.01f).ok());
  GraphBuilder b;
  b.output(b.linear("fc", b.input("x", {3, 8}), kClasses));
  const Graph other = std::move(b).finish().value();
  const auto refused = whole.with_batch(other, test::random_weights(other));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("share states"));
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
