// A run of fit() on its way: what it has, and its parts. fit_setup.cpp is what comes before the
// first step, fit_step.cpp a step, and fit.cpp the loop of them, its checkpoints and its result.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "caldera/batch_loader.h"
#include "caldera/fit.h"
#include "caldera/targets.h"

#include "models/training/batch_trainer.h"
#include "models/training/evaluation.h"
#include "models/training/pixel_pool.h"
#include "models/training/training_state.h"

namespace caldera {

// Ends the name of what counts batch-norm's batches.
inline constexpr std::string_view kBatchCounter = "num_batches_tracked";

// A run from its first step, or from where its checkpoint left it.
class Fitter {
 public:
  Fitter(const Device& device, const Model& model, const FolderSplit& data,
         const FitOptions& options, const FitObserver& observer)
      : device_(device), model_(model), data_(data), options_(options), observer_(observer) {}

  Result<FitResult> run();

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  // A batch on its way through the device.
  struct Run {
    Batch batch;
    std::optional<Mixup> mixup;
    std::vector<float> targets;
    int64_t images = 0;  // In all batches of its step.
    bool first = false;  // Whether it is their first.
    bool last = false;
    std::vector<int64_t> bad_samples;  // As the loader knew them behind its step.
  };

  Status prepare();
  Status restore(Precision asked);
  bool can_have_come_here() const;
  void choose_input();
  Status make_trainer();
  Status make_loader();
  Status train();
  Status train_epoch();
  Result<bool> read_group();
  bool next_is_there() const { return next_in_group_ < group_.size() || loader_->ready(); }
  Result<bool> begin(Run& run);
  Status commit(const Run& run);
  Status finish(const Run& run);
  void end_step(const Run& run);
  std::vector<float> floats_of(const Run& run) const;
  Error nonfinite(const Run& run, float loss_scale);
  std::vector<double> gradient_norms() const;  // By trained_.
  Status end_epoch();
  Status checkpoint();
  void tell_bad();
  bool asked_to_stop() const { return observer_.stop && observer_.stop(); }
  bool averages() const { return options_.spec.optimizer.ema_decay != 0; }
  bool mixed() const { return options_.session.precision == Precision::kFp16; }
  int64_t batches_an_epoch() const {
    return caldera::batches_an_epoch(std::ssize(data_.train.samples), options_.batch,
                                     options_.drop_last);
  }
  int64_t steps_of(int64_t batches) const {
    return batches / options_.accumulate + (batches % options_.accumulate != 0);
  }
  int64_t all_steps() const { return options_.epochs * state_.steps_an_epoch; }
  Result<FitResult> result();

  // The weights as they are, and what goes beside them into a checkpoint.
  Status download();
  // Those that count: the moving average, where there is one.
  Weights weights_to_use() const;

  Device device_;
  Model model_;
  FolderSplit data_;
  FitOptions options_;
  const FitObserver& observer_;

  TrainingState state_;
  std::vector<std::string> trained_;  // Parameters.
  int64_t counted_before_ = 0;        // Runs that the model's num_batches_tracked do not count yet.
  std::shared_ptr<PixelPool> pixels_;  // Where images travel as bytes.
  std::optional<BatchTrainer> trainer_;
  std::optional<BatchLoader> loader_;
  std::optional<Evaluator> evaluator_;
  std::vector<Batch> group_;  // The batches of a step.
  int64_t group_images_ = 0;  // In all of them.
  size_t next_in_group_ = 0;
  std::vector<BadSample> bad_;  // Yet to be told.
  StepRecord record_;           // The step under way.
  double waited_ = 0;           // The loader's seconds that records have told.
  bool end_of_epoch_ = false;
  bool stopped_ = false;
  bool saved_ = false;  // What is in the file is what is here.
  Clock::time_point last_checkpoint_ = Clock::now();
  Clock::time_point last_step_ = Clock::now();  // Its end, or what was done after it.
};

}  // namespace caldera
