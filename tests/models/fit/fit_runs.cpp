#include "tests/models/fit/fit_runs.h"

#include <algorithm>

#include "caldera/checkpoint.h"

namespace caldera::test {

namespace fs = std::filesystem;

FitOptions quick_fit() {
  FitOptions options;
  options.epochs = 3;
  options.batch = 4;
  options.schedule.learning_rate = 0.05;
  options.spec.optimizer.momentum = 0.9f;
  options.seed = 3;
  options.threads = 2;
  return options;
}

FitOptions fit_of_everything() {
  FitOptions options = quick_fit();
  options.schedule.warmup = 2;
  options.spec.optimizer.weight_decay = 1e-3f;
  options.spec.optimizer.max_norm = 1;
  options.spec.optimizer.ema_decay = 0.9f;
  options.spec.decay_vectors = false;
  options.augmentation = find_augmentation("cifar").value();
  options.mixup = 0.4;
  options.label_smoothing = 0.1;
  return options;
}

FitResult FitTest::trained(const FitOptions& options, const FitObserver& observer) {
  Result<FitResult> result = train(options, observer);
  EXPECT_TRUE(result.ok()) << result.error().message;
  if (!result.ok())
    return {.model = photo_model(), .epochs = {}, .best_epoch = {}, .optimizer = {}};
  return *std::move(result);
}

void FitTest::write_checkpoints(FitOptions& options, const std::string& name) const {
  options.checkpoints = scratch_ / name;
  fs::create_directories(options.checkpoints);
}

FitOptions FitTest::leave(FitOptions options, const std::string& name) {
  options.epochs = 1;
  write_checkpoints(options, name);
  trained(options);
  options.resume = last_checkpoint(options.checkpoints);
  return options;
}

std::string FitTest::refusal(const FitOptions& options) {
  const auto result = train(options);
  return result.ok() ? std::string() : result.error().message;
}

std::string FitTest::damaged_refusal(FitOptions options, const std::string& what,
                                     const std::string& with) {
  const fs::path copy = scratch_ / "damaged.safetensors";
  fs::copy_file(options.resume, copy, fs::copy_options::overwrite_existing);
  options.resume = copy;
  change_metadata(copy, what, with);
  return refusal(options);
}

void change_metadata(const fs::path& path, const std::string& what, const std::string& with) {
  Checkpoint checkpoint = read_checkpoint(path).value();
  std::string& text = checkpoint.metadata.at("caldera_training");
  const size_t at = text.find(what);
  ASSERT_NE(at, std::string::npos) << what << " in " << text;
  text.replace(at, what.size(), with);
  // The file is mapped while it is read.
  ASSERT_TRUE(write_safetensors(path.string() + ".new", checkpoint).ok());
  fs::rename(path.string() + ".new", path);
}

void FitTest::expect_goes_on(FitOptions options, const std::vector<int64_t>& steps,
                             const FitResult& whole) {
  for (const int64_t at : steps) {
    SCOPED_TRACE(at);
    write_checkpoints(options, "stopped" + std::to_string(at));
    options.resume.clear();
    int64_t done = 0;
    FitObserver observer;
    observer.on_step = [&](const StepRecord&) { ++done; };
    observer.stop = [&] { return done == at; };
    const FitResult stopped = trained(options, observer);
    EXPECT_TRUE(stopped.stopped);
    EXPECT_EQ(stopped.steps, at);
    options.resume = last_checkpoint(options.checkpoints);
    const FitResult resumed = trained(options);
    EXPECT_FALSE(resumed.stopped);
    expect_same(resumed, whole);
  }
}

void expect_same(const Weights& a, const Weights& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), b.at(name).bytes())) << name;
  }
}

void expect_same(const FitResult& a, const FitResult& b) {
  expect_same(a.model.weights(), b.model.weights());
  expect_same(a.optimizer.moments, b.optimizer.moments);
  for (const NamedTensor& named : a.model.checkpoint().tensors) {
    EXPECT_TRUE(
        std::ranges::equal(named.tensor.bytes(), b.model.checkpoint().find(named.name)->bytes()))
        << named.name;
  }
  ASSERT_EQ(a.epochs.size(), b.epochs.size());
  for (size_t i = 0; i < a.epochs.size(); ++i) {
    EXPECT_EQ(a.epochs[i].loss, b.epochs[i].loss);
    EXPECT_EQ(a.epochs[i].correct, b.epochs[i].correct);
    EXPECT_EQ(a.epochs[i].images, b.epochs[i].images);
    EXPECT_EQ(a.epochs[i].best, b.epochs[i].best);
    EXPECT_EQ(a.epochs[i].skipped_steps, b.epochs[i].skipped_steps);
    EXPECT_EQ(a.epochs[i].validation->loss, b.epochs[i].validation->loss);
    EXPECT_EQ(a.epochs[i].validation->correct, b.epochs[i].validation->correct);
  }
  EXPECT_EQ(a.best_epoch, b.best_epoch);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.skipped_steps, b.skipped_steps);
  EXPECT_EQ(a.loss_scale, b.loss_scale);
}

}  // namespace caldera::test
