// Options of training; see training_args.h.
#include "tools/training_args.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/command.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kMost = int64_t{1} << 40;

Check positive() {
  static const Check check = in_range(int64_t{1}, kMost);
  return check;
}

Check not_negative() {
  static const Check check = in_range(0.0, 1e30);
  return check;
}

std::string listed(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

void add_data_options(Command& command, TrainingArgs& args) {
  command.add_option("--val", args.validation, "A folder of class folders to validate on")
      ->type_name("DIR");
  command
      .add_option("--val-split", args.validation_split,
                  "Without --val: the share of each class held back for it (0.1; 0: none)")
      ->type_name("X")
      ->check(in_range(0.0, 0.99));
  command
      .add_option("--augment", args.augment,
                  listed(augmentation_names()) + " (by the model's family)")
      ->type_name("NAME")
      ->check(one_of(augmentation_names()));
  command
      .add_option("--erasing", args.erasing,
                  "Probability of setting a rectangle of an image to the mean (0)")
      ->type_name("X")
      ->check(in_range(0.0, 1.0));
  command.add_option("--mixup", args.mixup, "Mix images in pairs, by Beta(ALPHA, ALPHA) (0: not)")
      ->type_name("ALPHA")
      ->check(not_negative());
  command.add_option("--label-smoothing", args.label_smoothing, "Spread over all classes (0)")
      ->type_name("X")
      ->check(in_range(0.0, 1.0));
  command.add_option("--resize", args.resize, "The images' shorter side, over the model's")
      ->type_name("N")
      ->check(in_range(1, 8192));
  command.add_option("--crop", args.crop, "The side of the square cut from that: the input")
      ->type_name("N")
      ->check(in_range(1, 8192));
  command.add_flag("--no-shuffle", args.no_shuffle, "Batches in the order of the files");
  command.add_flag("--drop-last", args.drop_last, "Leave out an epoch's last batch if not full");
  command.add_option("--threads", args.threads, "Threads that decode images (one a core)")
      ->type_name("N")
      ->check(in_range(1, 1024));
}

void add_optimizer_options(Command& command, TrainingArgs& args) {
  command.add_option("--optimizer", args.optimizer, "sgd, adam or adamw (sgd)")
      ->type_name("NAME")
      ->check(one_of({"sgd", "adam", "adamw"}));
  command.add_option("--lr", args.learning_rate, "Learning rate; see below")
      ->type_name("X")
      ->check(not_negative());
  command.add_option("--momentum", args.momentum, "Of sgd (0.9)")
      ->type_name("X")
      ->check(in_range(0.0, 0.99999));
  command.add_flag("--nesterov", args.nesterov, "Nesterov's momentum");
  command.add_option("--weight-decay", args.weight_decay, "(1e-4; 1e-2 of adamw)")
      ->type_name("X")
      ->check(not_negative());
  command.add_flag("--no-decay-on-vectors", args.no_vector_decay,
                   "No weight decay on biases and batch-norm");
  command.add_option("--clip-norm", args.clip_norm, "Scale gradients down to this norm (0: not)")
      ->type_name("X")
      ->check(not_negative());
  command
      .add_option("--accumulate", args.accumulate,
                  "Batches a step (1). As one large batch only with --batch-norm frozen")
      ->type_name("N")
      ->check(positive());
  command
      .add_option("--ema", args.ema,
                  "Validate and write a moving average of the weights, of this decay (0: not)")
      ->type_name("X")
      ->check(in_range(0.0, 0.9999999));
}

void add_schedule_options(Command& command, TrainingArgs& args) {
  command
      .add_option_function(
          "--schedule",
          [&args](const std::string& name) { args.schedule.kind = *find_schedule(name); },
          listed(schedule_names()) + " (cosine)")
      ->type_name("NAME")
      ->check(one_of(schedule_names()));
  command.add_option("--warmup", args.schedule.warmup, "Steps that rise to the rate (0)")
      ->type_name("N")
      ->check(in_range(int64_t{0}, kMost));
  command.add_option("--gamma", args.schedule.gamma, "Factor of step and multi-step (0.1)")
      ->type_name("X")
      ->check(not_negative());
  command.add_option("--step-epochs", args.schedule.every, "Epochs between steps of step (30)")
      ->type_name("X")
      ->check(not_negative());
  command.add_option("--milestones", args.schedule.milestones, "Epochs of multi-step: 30,60,80")
      ->type_name("X,X,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--min-lr", args.schedule.minimum, "Where cosine ends (0)")
      ->type_name("X")
      ->check(not_negative());
}

void add_parameter_options(Command& command, TrainingArgs& args) {
  command
      .add_option("--freeze", args.parameters.freeze,
                  "Parameters to leave as they are: a module, or a name with *; repeatable")
      ->type_name("PATTERN")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      .add_option("--train-only", args.parameters.train_only,
                  "head, layer4+head, all, or any modules joined by + (all)")
      ->type_name("NAMES");
  command
      .add_option_function(
          "--batch-norm",
          [&args](const std::string& mode) { args.frozen_batch_norm = mode == "frozen"; },
          "train: statistics of the batch; frozen: the running ones, which stay (train)")
      ->type_name("MODE")
      ->check(one_of({"train", "frozen"}));
}

void add_file_options(Command& command, TrainingArgs& args) {
  command
      .add_option("-o,--output", args.output,
                  "The trained model: .safetensors, .pth or .pt; see below")
      ->type_name("FILE");
  command
      .add_option("--checkpoints", args.checkpoints,
                  "Folder of last.safetensors and best.safetensors (beside the output: NAME.run)")
      ->type_name("DIR");
  command
      .add_option("--checkpoint-every", args.checkpoint_every,
                  "Within an epoch: N steps, or minutes as 10m (at its end alone)")
      ->type_name("N");
  command.add_option("--resume", args.resume, "Go on from a last.safetensors, as if never stopped")
      ->type_name("FILE");
  command.add_flag("-f,--force", args.force, "Replace files of an earlier run");
  command
      .add_option("--optimizer-state", args.optimizer_state,
                  "Write the optimizer's state_dict too, as PyTorch's")
      ->type_name("FILE.pth");
  command.add_option("--log", args.log, "Write a table of all steps")->type_name("FILE.csv");
  command
      .add_option("--report", args.report,
                  "Draw it all as DIR/report.html, beside tables and TensorBoard's events")
      ->type_name("DIR");
  args.command = &command;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// "200" or "10m".
Status read_interval(const std::string& text, FitOptions& options) {
  if (text.empty()) return {};
  const bool minutes = text.ends_with('m');
  const char* end = text.data() + text.size() - (minutes ? 1 : 0);
  int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < 1) {
    return usage_error(fmt::format(
        "--checkpoint-every: {} is neither a number of steps nor of minutes, such as 10m", text));
  }
  if (minutes) {
    options.checkpoint_seconds = 60.0 * static_cast<double>(value);
  } else {
    options.checkpoint_steps = value;
  }
  return {};
}

}  // namespace

void add_training_options(Command& command, TrainingArgs& args, int64_t epochs) {
  args.epochs = epochs;
  command.add_option("--epochs", args.epochs, fmt::format("Times through the images ({})", epochs))
      ->type_name("N")
      ->check(positive());
  add_batch_option(command, args.batch, "Images a batch (128 of up to 64x64, else 32)");
  add_optimizer_options(command, args);
  add_schedule_options(command, args);
  add_parameter_options(command, args);
  add_data_options(command, args);
  add_file_options(command, args);
  add_checkpointing_option(command, args.checkpointing);
  add_device_option(command, args.device);
  add_precision_option(command, args.device,
                       "Of stored activations: fp32, mixed (fp16, by a loss scale) or bf16 (fp32)",
                       {"fp32", "mixed", "bf16"});
  add_opening_options(command, args.device);
  add_json_option(command, args.json);
}

Result<FolderSplit> load_training_data(const TrainingArgs& args) {
  CALDERA_TRY_ASSIGN(ImageFolder all, scan_image_folder(args.folder));
  CALDERA_TRY(check_training_classes(all, args.folder));
  if (args.validation.empty()) return split_folder(all, args.validation_split, args.seed);
  CALDERA_TRY_ASSIGN(ImageFolder validation, scan_image_folder(args.validation));
  CALDERA_TRY(check_validation_classes(all, validation, args.validation));
  return FolderSplit{std::move(all), std::move(validation)};
}

Status choose_files(TrainingArgs& args, const std::string& name) {
  if (args.output.empty()) args.output = name + ".safetensors";
  const fs::path output = args.output;
  const std::string extension = output.extension();
  if (extension != ".safetensors" && extension != ".pth" && extension != ".pt") {
    return usage_error(
        fmt::format("{}: end its name in .safetensors for Caldera's file or in .pth for PyTorch's",
                    args.output));
  }
  const bool resumed = !args.resume.empty();
  if (args.checkpoints.empty()) {
    args.checkpoints = resumed ? fs::path(args.resume).parent_path().string()
                               : fs::path(output).replace_extension(".run").string();
    if (args.checkpoints.empty()) args.checkpoints = ".";
  }
  if (resumed && !is_there(args.resume))
    return usage_error(fmt::format("{}: no such file", args.resume));
  if (!resumed && !args.force) {
    if (is_there(output)) {
      return usage_error(fmt::format("{} is there already; --force replaces it", args.output));
    }
    const fs::path last = last_checkpoint(args.checkpoints);
    if (is_there(last)) {
      return usage_error(
          fmt::format("{} is of an earlier run: go on from it by --resume {}, or "
                      "begin anew by --force",
                      last.string(), last.string()));
    }
    const fs::path page = fs::path(args.report) / "report.html";
    if (!args.report.empty() && is_there(page)) {
      return usage_error(
          fmt::format("{} is of an earlier run; name another folder, or replace it "
                      "by --force",
                      page.string()));
    }
  }
  return {};
}

Preprocess training_preprocess(const TrainingArgs& args, Preprocess preprocess) {
  if (args.resize == 0 && args.crop == 0) return preprocess;
  preprocess.name = "custom";
  if (args.crop > 0) preprocess.crop_width = preprocess.crop_height = args.crop;
  if (args.resize > 0) preprocess.resize_shorter = args.resize;
  return preprocess;
}

Result<FitOptions> fit_options(const TrainingArgs& args, const Model& model, double rate) {
  const Size2d input = model.input_size();
  const bool small = int64_t{input.h} * input.w <= 64 * 64;
  const bool adaptive = args.optimizer != "sgd";
  FitOptions options;
  options.epochs = args.epochs;
  options.batch = args.batch > 0 ? args.batch : (small ? 128 : 32);
  options.accumulate = args.accumulate;
  options.shuffle = !args.no_shuffle;
  options.drop_last = args.drop_last;
  const bool cifar = model.architecture().family == Family::kCifarResNet;
  CALDERA_TRY_ASSIGN(options.augmentation,
                     find_augmentation(args.augment.value_or(cifar ? "cifar" : "imagenet")));
  options.augmentation.erasing.probability = args.erasing;
  options.mixup = args.mixup;
  options.label_smoothing = args.label_smoothing;
  options.schedule = args.schedule;
  options.schedule.learning_rate = args.learning_rate.value_or(adaptive ? 1e-3 : rate);
  if (options.schedule.kind == ScheduleKind::kMultiStep && args.schedule.milestones.empty())
    return usage_error("--schedule multi-step wants --milestones, such as 30,60,80");
  OptimizerAttrs& optimizer = options.spec.optimizer;
  optimizer.kind = args.optimizer == "adamw"  ? OptimizerKind::kAdamW
                   : args.optimizer == "adam" ? OptimizerKind::kAdam
                                              : OptimizerKind::kSgd;
  optimizer.momentum = adaptive ? 0 : args.momentum;
  optimizer.nesterov = args.nesterov;
  if (args.nesterov && adaptive) return usage_error("--nesterov goes with --optimizer sgd");
  optimizer.weight_decay =
      static_cast<float>(args.weight_decay.value_or(args.optimizer == "adamw" ? 1e-2 : 1e-4));
  optimizer.max_norm = args.clip_norm;
  optimizer.ema_decay = args.ema;
  options.spec.decay_vectors = !args.no_vector_decay;
  options.spec.batch_norm = args.frozen_batch_norm ? BatchNormMode::kFrozen : BatchNormMode::kTrain;
  options.spec.checkpointing = args.checkpointing;
  options.parameters = args.parameters;
  options.session.precision = args.device.precision;
  options.session.full_precision = args.device.full_precision;
  options.seed = args.seed;
  options.threads = args.threads;
  options.cache_bytes = size_t{1} << 30;
  options.checkpoints = args.checkpoints;
  CALDERA_TRY(read_interval(args.checkpoint_every, options));
  options.resume = args.resume;
  options.validate_first = !args.report.empty();
  return options;
}

}  // namespace caldera::tool
