// A run of training as a file: a model's safetensors with, beside its tensors, the moments as
// "training.NAME", and JSON under the metadata key "caldera_training" for the rest. It loads as a
// model too (the weights as they were last), since Model::load leaves out what is training's.
#pragma once

#include "caldera/fit.h"

#include "models/training/fit_options.h"

namespace caldera {

// What an epoch has summed up so far.
struct EpochSums {
  int64_t images = 0;
  int64_t correct = 0;
  double loss = 0;  // The sum over images.
  double seconds = 0;
  double waited = 0;
  int64_t skipped_steps = 0;
};

struct TrainingState {
  Weights weights;  // All of the model's, num_batches_tracked included.
  Weights moments;  // By state_name().
  int64_t updates = 0;
  int64_t runs = 0;
  float loss_scale = 1;  // Trainer's; so is what follows.
  int64_t updates_at_scale = 0;
  int64_t epoch = 0;  // Where the next batch is.
  int64_t batch = 0;
  int64_t steps_an_epoch = 0;
  std::vector<int64_t> bad_samples;
  EpochSums sums;
  std::vector<EpochRecord> epochs;  // Done.
  RecordedOptions options;

  int64_t skipped_steps() const;
  // Those done.
  int64_t steps() const { return updates + skipped_steps(); }
};

// `model`: for architecture, preprocessing and labels.
Status save_training_state(const std::filesystem::path& path, const Model& model,
                           const TrainingState& state);
Result<TrainingState> load_training_state(const std::filesystem::path& path);

}  // namespace caldera
