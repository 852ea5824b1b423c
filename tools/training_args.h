// The options that `finetune` and `train` share, and what they stand for in the library.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "caldera/fit.h"

#include "tools/arguments.h"

namespace caldera::tool {

struct TrainingArgs {
  std::string folder;
  DeviceArgs device;
  // Data.
  std::string validation;
  double validation_split = 0.1;
  std::optional<std::string> augment;  // Else by the family.
  double erasing = 0;                  // Probability.
  double mixup = 0;
  double label_smoothing = 0;
  bool no_shuffle = false;
  bool drop_last = false;
  int threads = 0;
  int32_t resize = 0;  // 0: as the model has it.
  int32_t crop = 0;
  // Steps.
  int64_t epochs = 10;
  int64_t batch = 0;  // 0: by the size of the images.
  int64_t accumulate = 1;
  std::string optimizer = "sgd";
  std::optional<double> learning_rate;
  float momentum = 0.9f;
  bool nesterov = false;
  std::optional<double> weight_decay;
  bool no_vector_decay = false;
  float clip_norm = 0;
  float ema = 0;
  Schedule schedule{};
  ParameterChoice parameters{};
  bool frozen_batch_norm = false;
  Checkpointing checkpointing = Checkpointing::kNone;
  uint64_t seed = 0;
  // Files.
  std::string output;
  bool force = false;
  std::string checkpoints;
  std::string checkpoint_every;
  std::string resume;
  std::string optimizer_state;
  std::string log;
  std::string report;
  const Command* command = nullptr;  // For the report's head.
  bool json = false;
};

// All but the positional arguments and the seed. `epochs`: to train for, unless told.
void add_training_options(Command& command, TrainingArgs& args, int64_t epochs);

// The training and the validation folder, or one folder split.
Result<FolderSplit> load_training_data(const TrainingArgs& args);

// `name`: what the files are called, unless told. Refuses to write over files of before.
Status choose_files(TrainingArgs& args, const std::string& name);

// `rate`: the learning rate of SGD, unless told.
Result<FitOptions> fit_options(const TrainingArgs& args, const Model& model, double rate);

// The preprocessing of --resize and --crop.
Preprocess training_preprocess(const TrainingArgs& args, Preprocess preprocess);

}  // namespace caldera::tool
