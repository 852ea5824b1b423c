// Whole trainings of a tiny net: that it learns, that a stopped run goes on to the same bits, and
// what is told when something is wrong.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>

#include "tests/models/fit/fit_runs.h"
#include "tests/models/image/reference.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::HasSubstr;

// Of full batches: where a step on one image leads, by its own statistics, rounding decides.
TEST_F(FitTest, LearnsColours) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 12;
  options.drop_last = true;
  Records records;
  trained(options, records.observer());
  ASSERT_EQ(records.epochs.size(), 12u);
  EXPECT_LT(records.epochs.back().loss, records.epochs.front().loss / 2);
  ASSERT_TRUE(records.epochs.back().validation);
  EXPECT_GE(records.epochs.back().validation->correct, 8);
  EXPECT_EQ(records.epochs.back().validation->images, 9);
}

TEST_F(FitTest, TellsOfEveryStepAndEpoch) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 6;
  Records records;
  const FitResult result = trained(options, records.observer());
  const auto& [steps, epochs] = records;
  ASSERT_EQ(epochs.size(), 6u);
  EXPECT_LT(epochs.back().loss, epochs.front().loss / 2);
  EXPECT_GE(result.best_epoch.value_or(-1), 0);
  ASSERT_TRUE(epochs.back().validation);
  EXPECT_EQ(epochs.back().validation->images, 9);

  // 21 images: five full batches and one of a single image, which has its statistics to itself.
  ASSERT_EQ(steps.size(), 36u);
  EXPECT_EQ(steps[4].images, 4);
  EXPECT_EQ(steps[5].images, 1);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].step, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(steps[i].steps, 36);
    EXPECT_EQ(steps[i].epoch, static_cast<int64_t>(i) / 6);
    EXPECT_EQ(steps[i].step_in_epoch, static_cast<int64_t>(i) % 6 + 1);
  }
  EXPECT_EQ(steps[0].learning_rate, 0.05);
  int64_t counted = 0;
  for (size_t i = 0; i < 9; ++i) counted += epochs.back().validation->confusion[i];
  EXPECT_EQ(counted, 9);
}

TEST_F(FitTest, GoesOnToTheSameBitsFromAnyStep) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = fit_of_everything();
  write_checkpoints(options, "whole");
  const FitResult whole = trained(options);
  // In the middle of an epoch, before the small batch, after it, and at an epoch's first step.
  expect_goes_on(options, {2, 5, 6, 13}, whole);
}

TEST_F(FitTest, GoesOnFromACheckpointOfEveryStep) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = fit_of_everything();
  options.epochs = 2;
  options.accumulate = 2;
  options.spec.optimizer.kind = OptimizerKind::kAdamW;
  options.spec.optimizer.momentum = 0;
  const FitResult whole = trained(options);
  write_checkpoints(options, "run");
  options.checkpoint_steps = 1;
  // A run that dies after its second step leaves this file.
  const fs::path left = scratch_ / "left.safetensors";
  FitObserver observer;
  observer.on_step = [&](const StepRecord& step) {
    if (step.step == 3) fs::copy_file(last_checkpoint(options.checkpoints), left);
  };
  expect_same(trained(options, observer), whole);
  options.resume = left;
  expect_same(trained(options), whole);
}

TEST_F(FitTest, OfAFinishedRunGivesItsResultAgain) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = fit_of_everything();
  options.epochs = 1;
  write_checkpoints(options, "run");
  const FitResult whole = trained(options);
  options.resume = last_checkpoint(options.checkpoints);
  FitObserver observer;
  observer.on_step = [](const StepRecord&) { ADD_FAILURE() << "it trains on"; };
  expect_same(trained(options, observer), whole);
}

TEST_F(FitTest, KeepsTheBestAndTheLastAsModels) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  write_checkpoints(options, "run");
  const FitResult result = trained(options);
  for (const fs::path& path :
       {last_checkpoint(options.checkpoints), best_checkpoint(options.checkpoints)}) {
    const auto model = Model::load(path);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(model->labels(), (std::vector<std::string>{"blue", "green", "red"}));
    EXPECT_EQ(model->architecture().full_name(), "cifar_resnet20:classes=3,input=8");
  }
  expect_same(Model::load(last_checkpoint(options.checkpoints))->weights(), result.model.weights());
}

TEST_F(FitTest, RefusesToGoOnWithOtherOptionsAndNamesThem) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 1;
  write_checkpoints(options, "run");
  trained(options);
  options.resume = last_checkpoint(options.checkpoints);
  options.schedule.learning_rate = 0.02;
  options.seed = 4;
  options.parameters.freeze = {"layer1"};
  auto result = train(options);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message,
              AllOf(HasSubstr("lr was '0.05' and is '0.02'"), HasSubstr("seed was '3' and is '4'"),
                    HasSubstr("freeze was '' and is 'layer1'")));
  EXPECT_THAT(result.error().message, ::testing::Not(HasSubstr("momentum")));
  // Another folder is another run.
  options = quick_fit();
  options.epochs = 1;
  options.resume = scratch_ / "run" / "last.safetensors";
  data_.train.samples.pop_back();
  EXPECT_THAT(train(options).error().message, HasSubstr("training images was '21"));
  options.resume = scratch_ / "run" / "best.safetensors";
  EXPECT_THAT(train(options).error().message, HasSubstr("no training can go on from it"));
}

// Files come from strangers: no number of theirs may overflow, or be a place that is not there.
TEST_F(FitTest, RefusesNumbersThatNoRunHasLeft) {
  CALDERA_REQUIRE_DEVICE(device);
  const FitOptions good = leave(quick_fit(), "run");  // 6 steps of 21 images, 9 validated.
  EXPECT_EQ(refusal(good), "");
  const std::string most = "9223372036854775807";
  const auto expect_damaged = [&](const std::string& key, const std::string& was,
                                  const std::string& with) {
    const std::string name = "\"" + key + "\":";
    EXPECT_THAT(damaged_refusal(good, name + was, name + with), HasSubstr("damaged"))
        << key << " " << with;
  };
  for (const std::string& with : {most, std::string("7"), std::string("1e300"),
                                  std::string("18446744073709551615"), std::string("-1")}) {
    expect_damaged("batch", "0", with);
    expect_damaged("steps_an_epoch", "6", with == "7" ? "5" : with);
    expect_damaged("runs", "6", with);
    expect_damaged("updates", "6", with);
  }
  // Of the epoch that is done, which comes before where the run is.
  expect_damaged("epoch", "0", "1");
  expect_damaged("epoch", "0", most);
  expect_damaged("images", "21", most);
  expect_damaged("images", "9", most);
  EXPECT_THAT(damaged_refusal(good, R"("validation":)", R"("unread":)"), HasSubstr("damaged"))
      << "the best, and not validated";
  EXPECT_THAT(damaged_refusal(good, R"("bad_samples":[)", R"("bad_samples":[1e300)"),
              HasSubstr("damaged"));
  FitOptions longer = quick_fit();
  longer.epochs = int64_t{1} << 62;
  EXPECT_THAT(refusal(longer), HasSubstr("more than can be counted"));
}

TEST_F(FitTest, AccumulatesToTheLargeBatchWhereBatchNormIsFrozen) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 2;
  options.spec.batch_norm = BatchNormMode::kFrozen;
  options.batch = 12;
  const FitResult large = trained(options);
  options.batch = 4;
  options.accumulate = 3;
  const FitResult parts = trained(options);
  EXPECT_EQ(parts.steps, large.steps);
  for (const auto& [name, tensor] : large.model.weights()) {
    const std::span<const float> a = tensor.floats();
    const Tensor other = parts.model.weights().at(name);
    double difference = 0, norm = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += std::pow(a[i] - other.floats()[i], 2);
      norm += std::pow(a[i], 2);
    }
    EXPECT_LE(std::sqrt(difference), 1e-4 * std::sqrt(norm) + 1e-6) << name;
  }
}

TEST_F(FitTest, ChangesOnlyWhatIsTrained) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 1;
  options.spec.batch_norm = BatchNormMode::kFrozen;
  options.parameters.train_only = "layer3+head";
  options.parameters.freeze = {"layer3.1"};
  const FitResult result = trained(options);
  const Model before = photo_model();
  for (const auto& [name, tensor] : before.weights()) {
    const bool same = std::ranges::equal(tensor.bytes(), result.model.weights().at(name).bytes());
    const bool is_trained = (name.starts_with("layer3.") && !name.starts_with("layer3.1") &&
                             name.find("running") == std::string::npos) ||
                            name.starts_with("linear.");
    EXPECT_EQ(same, !is_trained) << name;
  }
}

TEST_F(FitTest, CountsBatchesAsPyTorchDoes) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 2;
  const FitResult result = trained(options);
  const Tensor* counter = result.model.checkpoint().find("bn1.num_batches_tracked");
  ASSERT_TRUE(counter);
  EXPECT_EQ(static_cast<int>(counter->bytes()[0]), 12);
}

TEST_F(FitTest, NamesDamagedImagesOnceAndLeavesThemOut) {
  CALDERA_REQUIRE_DEVICE(device);
  for (const Sample& sample :
       {data_.train.samples[2], data_.train.samples[9], data_.validation.samples[1]}) {
    write_bytes(sample.path, {1, 2, 3});
  }
  std::vector<std::string> told;
  FitObserver observer;
  observer.on_bad_image = [&](const Error& error) { told.push_back(error.message); };
  const FitResult result = trained(quick_fit(), observer);
  EXPECT_EQ(result.skipped, 3);
  EXPECT_EQ(told.size(), 3u);
  for (const Sample& sample : {data_.train.samples[2], data_.validation.samples[1]})
    EXPECT_THAT(told, ::testing::Contains(HasSubstr(sample.path.string())));
  EXPECT_EQ(result.epochs.back().images, 19);
  EXPECT_EQ(result.epochs.back().validation->images, 8);
}

TEST_F(FitTest, StopsAtTheFirstNumberThatIsNotFinite) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.schedule.learning_rate = 1e30;
  int64_t steps = 0;
  FitObserver observer;
  observer.on_step = [&](const StepRecord&) { ++steps; };
  const auto result = train(options, observer);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(steps, 1);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("step 2 (epoch 1"), HasSubstr("first in "),
                                            HasSubstr("smaller learning rate")));
}

TEST_F(FitTest, WithoutValidationHasNoBest) {
  CALDERA_REQUIRE_DEVICE(device);
  FitOptions options = quick_fit();
  options.epochs = 1;
  options.drop_last = true;
  data_.validation.samples.clear();
  const FitResult result = trained(options);
  EXPECT_FALSE(result.best_epoch);
  EXPECT_FALSE(result.epochs[0].validation);
  EXPECT_EQ(result.epochs[0].images, 20);
}

TEST_F(FitTest, RefusesWhatCannotBeMeantBeforeTheFirstStep) {
  CALDERA_REQUIRE_DEVICE(device);
  const auto why = [&](auto change) {
    FitOptions options = quick_fit();
    change(options);
    const auto result = train(options);
    return result.ok() ? std::string() : result.error().message;
  };
  EXPECT_THAT(why([](FitOptions& o) { o.epochs = 0; }), HasSubstr("number of epochs of 0"));
  EXPECT_THAT(why([](FitOptions& o) { o.batch = 0; }), HasSubstr("a batch of 0"));
  EXPECT_THAT(why([](FitOptions& o) { o.schedule.warmup = 18; }), HasSubstr("there are 18 in all"));
  EXPECT_THAT(why([](FitOptions& o) { o.label_smoothing = 2; }), HasSubstr("label smoothing"));
  EXPECT_THAT(why([](FitOptions& o) { o.parameters.freeze = {"*"}; }), HasSubstr("frozen"));
  EXPECT_THAT(why([](FitOptions& o) {
                o.spec.optimizer.momentum = 0;
                o.spec.optimizer.nesterov = true;
              }),
              HasSubstr("Nesterov"));
  EXPECT_THAT(why([](FitOptions& o) { o.resume = "nowhere.safetensors"; }), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace caldera::test
