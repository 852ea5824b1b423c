// Training a model on a labelled folder: epochs of steps, validation after each, checkpoints from
// which a stopped run goes on to the same bits. Nothing is printed: an observer is told.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "caldera/augment.h"
#include "caldera/device.h"
#include "caldera/model.h"
#include "caldera/optimizer_state.h"
#include "caldera/result.h"
#include "caldera/schedule.h"
#include "caldera/split.h"
#include "caldera/trainer.h"
#include "caldera/transfer.h"

namespace caldera {

struct FitOptions {
  int64_t epochs = 10;
  int64_t batch = 32;  // More than there are images: all of them.
  // So many batches make a step. It is what one batch of them all would be only where batch-norm is
  // frozen, as each part has statistics of its own else.
  int64_t accumulate = 1;
  bool shuffle = true;
  bool drop_last = false;
  Augmentation augmentation{};
  double mixup = 0;  // Alpha; 0: none.
  double label_smoothing = 0;
  Schedule schedule{};  // Its epochs and steps_an_epoch are set from what stands here.
  // Its `trainable` is set from `parameters`. With a moving average, that is what is validated
  // and what the result holds, with the running statistics as they are.
  TrainingSpec spec{};
  ParameterChoice parameters{};
  uint64_t seed = 0;  // Of order, augmentation, mixup, dropout.
  // As TrainerOptions has it: kFp16 is mixed precision, where the device has halves, else fp32.
  // Validation is in fp32, as the weights are that are kept.
  SessionOptions session{};
  LossScale loss_scale{};  // Of mixed precision.
  int threads = 0;         // That decode images; 0: one a core.
  size_t cache_bytes = 0;  // Of decoded training images.

  // A folder for last.safetensors, from which a run goes on, and best.safetensors, the model of the
  // epoch with the most right in validation. Both are written at the end of an epoch, whole or not
  // at all. Empty: nowhere.
  std::filesystem::path checkpoints;
  int64_t checkpoint_steps = 0;   // Within an epoch, after so many steps; 0: never.
  double checkpoint_seconds = 0;  // The same by time.
  // A last.safetensors to go on from. An error where the folder or an option that changes results
  // is another than it was.
  std::filesystem::path resume;
  // Validates once before the first step, for FitObserver::Start::before.
  bool validate_first = false;
};

// In mixed precision a step may be skipped: a gradient overflowed, so the optimizer did nothing and
// the loss scale went down. As with PyTorch's GradScaler it is a step all the same to the schedule,
// the running statistics and the count of steps, and none to moments, Adam's bias correction and
// the moving average.
struct StepRecord {
  int64_t epoch = 0;          // From 0.
  int64_t step = 0;           // Of all, those skipped included; from 1.
  int64_t step_in_epoch = 0;  // From 1, of steps_an_epoch.
  int64_t steps_an_epoch = 0;
  int64_t steps = 0;  // There will be in all.
  int64_t images = 0;
  int64_t correct = 0;  // Before the step; with mixup, of the heavier label.
  double loss = 0;      // The mean over its images, before the step.
  double learning_rate = 0;
  double gradient_norm = 0;  // Before clipping. Of a skipped step not finite.
  double loss_scale = 1;     // Of the step.
  bool skipped = false;
  double seconds = 0;  // That it took, waiting included.
  double waited = 0;   // Of those, for images.
  // Those of FitObserver::Start::trained one by one, before clipping. Valid during the call.
  std::span<const double> gradient_norms;
};

// An image that was taken for another class than its own.
struct Mistake {
  std::filesystem::path path;
  int32_t label = 0;       // Its own.
  int32_t predicted = 0;   // What it was taken for,
  double probability = 0;  // and how surely.
  double loss = 0;         // -log of the probability of its own.
};

// How a model does on labelled images.
struct Evaluation {
  int64_t images = 0;
  int64_t correct = 0;
  double loss = 0;                 // Mean cross-entropy.
  std::vector<int64_t> confusion;  // [classes, classes]: a row a true class. Of epochs read from a
                                   // checkpoint: empty.
  std::vector<Mistake> mistakes;   // Of the greatest loss, that first: 12 at most. Likewise.
};

struct EpochRecord {
  int64_t epoch = 0;  // From 0.
  int64_t images = 0;
  int64_t correct = 0;
  double loss = 0;
  int64_t skipped_steps = 0;
  std::optional<Evaluation> validation;
  bool best = false;   // Of all so far.
  double seconds = 0;  // Of steps, those of runs before included.
  double waited = 0;
  double validation_seconds = 0;
};

// All may be empty.
struct FitObserver {
  // Before the first step: what is trained, where it begins. `done` are the epochs of the run that
  // is gone on from.
  struct Start {
    std::vector<std::string> trained;  // Parameters, in the order of gradient_norms.
    int64_t trained_elements = 0;
    int64_t step = 0;  // Done already.
    int64_t steps = 0;
    SessionStats stats{};  // Of the session that runs the steps: what memory they take.
    const std::vector<EpochRecord>* done = nullptr;
    // With validate_first, of a run that begins; like `done`, valid during the call.
    const Evaluation* before = nullptr;
  };
  std::function<void(const Start&)> on_start;
  std::function<void(const StepRecord&)> on_step;
  std::function<void(const EpochRecord&)> on_epoch;
  std::function<void(const Error&)> on_bad_image;  // Names the file; once each.
  std::function<bool()> stop;                      // Asked after every step.
};

struct FitResult {
  Model model;  // After the last step.
  std::vector<EpochRecord> epochs;
  std::optional<int64_t> best_epoch;
  int64_t steps = 0;
  int64_t skipped_steps = 0;               // Of those.
  float loss_scale = 1;                    // That a next step would take.
  Precision precision = Precision::kFp32;  // kFp16: mixed.
  bool stopped = false;                    // The observer asked for it; the checkpoint was written.
  int64_t skipped = 0;                     // Images that cannot be decoded.
  OptimizerState optimizer;
};

// Labels of samples are places in model.labels(); data.validation may have no sample.
Result<FitResult> fit(const Device& device, const Model& model, const FolderSplit& data,
                      const FitOptions& options, const FitObserver& observer = {});

// Of a checkpoint: the path of the file in the folder.
std::filesystem::path last_checkpoint(const std::filesystem::path& folder);
std::filesystem::path best_checkpoint(const std::filesystem::path& folder);

}  // namespace caldera
