// A Trainer that takes batches of any size up to its own. A session's batch is fixed, and batch
// statistics must not see padding: where batch-norm trains, a smaller batch has a trainer of its
// own, of the same states. What is frozen sees a batch filled with blanks that weigh nothing.
#pragma once

#include <optional>

#include "caldera/model.h"
#include "caldera/trainer.h"

namespace caldera {

class BatchTrainer {
 public:
  // Also makes the trainer for `remainder` images, if that is above 0 and needed, so that a lack
  // of memory shows before the first step.
  static Result<BatchTrainer> create(const Device& device, const Model& model, Weights weights,
                                     const TrainerOptions& options, int64_t batch,
                                     int64_t remainder);

  // Trainer's begin(), commit() and wait(). images: [n, 3, H, W]; targets: [n, classes]; n at most
  // the batch.
  Status begin(std::span<const float> images, std::span<const float> targets, int64_t n);
  // The first n of these; what lies behind them may be overwritten.
  Status begin(const Pixels& images, std::span<const float> targets, int64_t n);
  Status commit(double learning_rate, bool apply);
  Result<StepResult> wait() { return current().wait(); }

  // That of the last commit().
  const Trainer& current() const { return on_part_ ? *part_ : full_; }
  Trainer& current() { return on_part_ ? *part_ : full_; }
  int64_t current_batch() const { return on_part_ ? part_size_ : batch_; }

 private:
  BatchTrainer(Model model, Weights weights, BatchNormMode batch_norm, int64_t batch, Trainer full);
  Status make_part(int64_t n);
  // The trainer for n images.
  Result<Trainer*> trainer_for(int64_t n);
  bool fills(int64_t n) const { return n < batch_ && batch_norm_ == BatchNormMode::kFrozen; }
  // With zeros, where a batch is to be filled.
  std::span<const float> filled(std::span<const float> given, int64_t n, std::vector<float>& whole);

  Model model_;
  Weights weights_;
  BatchNormMode batch_norm_;
  int64_t batch_;
  Trainer full_;
  std::optional<Trainer> part_;
  int64_t part_size_ = 0;
  bool begun_on_part_ = false;
  bool on_part_ = false;
  std::vector<float> images_, targets_;  // Filled up.
};

}  // namespace caldera
