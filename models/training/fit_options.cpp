// Checks and records of training options; see fit_options.h.
#include "models/training/fit_options.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace caldera {

namespace {

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
}

std::string number(double value) {
  return fmt::format("{}", value);
}
std::string number(float value) {
  return fmt::format("{}", value);
}
std::string number(int64_t value) {
  return fmt::format("{}", value);
}
std::string yes_or_no(bool value) {
  return value ? "yes" : "no";
}

std::string describe(const Range& range) {
  return fmt::format("{}..{}", range.low, range.high);
}

std::string numbers_of(const Augmentation& a) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {}", a.resized_crop.enabled,
                     describe(a.resized_crop.scale), describe(a.resized_crop.ratio), a.pad, a.flip,
                     a.jitter.brightness, a.jitter.contrast, a.jitter.saturation, a.jitter.hue,
                     a.erasing.probability, describe(a.erasing.scale), describe(a.erasing.ratio));
}

// Its name, where it has one.
std::string describe(const Augmentation& a) {
  const std::string numbers = numbers_of(a);
  for (const std::string& name : augmentation_names()) {
    const Result<Augmentation> known = find_augmentation(name);
    if (known.ok() && numbers_of(*known) == numbers) return name;
  }
  return numbers;
}

std::string describe(const Preprocess& preprocess) {
  return to_json(preprocess);
}

std::string numbers_of(const LossScale& scale) {
  return fmt::format("{} {} {} {} {} {}", scale.initial, scale.growth, scale.growth_interval,
                     scale.backoff, scale.most, scale.least);
}

std::string describe_precision(const FitOptions& options) {
  const bool mixed = options.session.precision == Precision::kFp16;
  std::string text(mixed ? kMixedPrecision : precision_name(options.session.precision));
  const std::string numbers = numbers_of(options.loss_scale);
  if (mixed && numbers != numbers_of(LossScale{})) text += ", loss scale " + numbers;
  if (!options.session.full_precision.empty()) {
    text += fmt::format(", in full {}", fmt::join(options.session.full_precision, " "));
  }
  return text;
}

// How many samples there are, and a number that others will hardly have. Names alone count: a
// folder may move.
std::string describe(const ImageFolder& folder) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a.
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  };
  for (const Sample& sample : folder.samples) {
    add(fmt::format("{}/", sample.label));
    add(sample.path.filename().string());
    add("\n");
  }
  return fmt::format("{} ({:08x})", folder.samples.size(), hash >> 32);
}

std::string_view optimizer_name(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return "sgd";
    case OptimizerKind::kAdam:
      return "adam";
    case OptimizerKind::kAdamW:
      return "adamw";
  }
  return "";
}

}  // namespace

Status check_fit_options(const FitOptions& options) {
  const auto at_least = [](std::string_view what, int64_t value, int64_t least) -> Status {
    if (value >= least) return {};
    return invalid(fmt::format("{} of {}; it must be at least {}", what, value, least));
  };
  CALDERA_TRY(at_least("a number of epochs", options.epochs, 1));
  CALDERA_TRY(at_least("a batch", options.batch, 1));
  CALDERA_TRY(at_least("a number of accumulated batches", options.accumulate, 1));
  CALDERA_TRY(at_least("a number of steps between checkpoints", options.checkpoint_steps, 0));
  const auto within = [](std::string_view what, double value, double most) -> Status {
    if (value >= 0 && value <= most) return {};
    return invalid(fmt::format("{} of {}; it must be within 0 and {}", what, value, most));
  };
  CALDERA_TRY(within("a mixup alpha", options.mixup, 1000));
  CALDERA_TRY(within("a label smoothing", options.label_smoothing, 1));
  const OptimizerAttrs& optimizer = options.spec.optimizer;
  CALDERA_TRY(within("a momentum", optimizer.momentum, 0.99999));
  CALDERA_TRY(within("a moving average's decay", optimizer.ema_decay, 0.9999999));
  CALDERA_TRY(within("a weight decay", optimizer.weight_decay, 1e6));
  CALDERA_TRY(within("a norm to clip at", optimizer.max_norm, 1e30));
  if (optimizer.nesterov && optimizer.momentum == 0)
    return invalid("Nesterov's method needs a momentum above 0");
  CALDERA_TRY(check_augmentation(options.augmentation));
  return check_schedule(options.schedule);
}

RecordedOptions record_options(const FitOptions& options, const Model& model,
                               const FolderSplit& data) {
  const Schedule& schedule = options.schedule;
  const OptimizerAttrs& optimizer = options.spec.optimizer;
  std::string curve(schedule_name(schedule.kind));
  if (schedule.kind == ScheduleKind::kStep)
    curve += fmt::format(" of {} every {} epochs", schedule.gamma, schedule.every);
  if (schedule.kind == ScheduleKind::kMultiStep)
    curve += fmt::format(" of {} at {}", schedule.gamma, fmt::join(schedule.milestones, ","));
  if (schedule.kind == ScheduleKind::kCosine) curve += fmt::format(" to {}", schedule.minimum);
  if (schedule.kind == ScheduleKind::kOneCycle)
    curve += fmt::format(" rising for {}, {} and {} lower", schedule.rise, schedule.first_divisor,
                         schedule.last_divisor);
  std::vector<std::string> freeze = options.parameters.freeze;
  std::sort(freeze.begin(), freeze.end());
  return {
      {"accumulate", number(options.accumulate)},
      {"adam-betas", fmt::format("{} {} {}", optimizer.beta1, optimizer.beta2, optimizer.eps)},
      {"architecture", model.architecture().full_name()},
      {"augment", describe(options.augmentation)},
      {"batch", number(options.batch)},
      {"batch-norm", options.spec.batch_norm == BatchNormMode::kTrain ? "train" : "frozen"},
      {"batch-norm momentum", options.spec.cumulative_statistics
                                  ? "cumulative"
                                  : number(options.spec.batch_norm_momentum)},
      {"classes", fmt::format("{}", fmt::join(model.labels(), ", "))},
      {"clip-norm", number(optimizer.max_norm)},
      {"decay of vectors", yes_or_no(options.spec.decay_vectors)},
      {"drop-last", yes_or_no(options.drop_last)},
      {"dropout", yes_or_no(options.spec.dropout)},
      {"ema", number(optimizer.ema_decay)},
      {"epochs", number(options.epochs)},
      {"freeze", fmt::format("{}", fmt::join(freeze, ", "))},
      {"label-smoothing", number(options.label_smoothing)},
      {"lr", number(schedule.learning_rate)},
      {"mixup", number(options.mixup)},
      {"momentum", number(optimizer.momentum)},
      {"nesterov", yes_or_no(optimizer.nesterov)},
      {"optimizer", std::string(optimizer_name(optimizer.kind))},
      {"precision", describe_precision(options)},
      {"preprocessing", describe(model.preprocess())},
      {"schedule", std::move(curve)},
      {"seed", fmt::format("{}", options.seed)},
      {"shuffle", yes_or_no(options.shuffle)},
      {"train-only", options.parameters.train_only},
      {"training images", describe(data.train)},
      {"validation images", describe(data.validation)},
      {"warmup", number(schedule.warmup)},
      {"weight-decay", number(optimizer.weight_decay)},
  };
}

Status check_same_options(const RecordedOptions& before, const RecordedOptions& now) {
  std::vector<std::string> changed;
  const auto value_in = [](const RecordedOptions& options, const std::string& name) {
    const auto found = options.find(name);
    return found == options.end() ? std::string("not there") : found->second;
  };
  RecordedOptions names = before;
  names.insert(now.begin(), now.end());
  for (const auto& [name, ignored] : names) {
    const std::string was = value_in(before, name), is = value_in(now, name);
    if (was != is) changed.push_back(fmt::format("{} was '{}' and is '{}'", name, was, is));
  }
  if (changed.empty()) return {};
  return invalid(
      fmt::format("this run cannot go on with other options: {}; give those that it "
                  "began with, or begin a new one",
                  fmt::join(changed, "; ")));
}

}  // namespace caldera
