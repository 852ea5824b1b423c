// What comes before the first step of fit(): options checked, a checkpoint read, sessions made.
#include <algorithm>

#include <fmt/format.h>

#include "models/training/fit_options.h"
#include "models/training/fitter.h"

namespace caldera {

Status Fitter::prepare() {
  CALDERA_TRY(check_fit_options(options_));
  const auto images = std::ssize(data_.train.samples);
  if (images == 0) return Error{ErrorCode::kInvalidInput, "training: there is no image"};
  if (model_.architecture().input_channels != 3) {
    return Error{ErrorCode::kUnsupported, fmt::format("{} takes {} channels, but images have 3",
                                                      model_.architecture().full_name(),
                                                      model_.architecture().input_channels)};
  }
  options_.batch = std::min<int64_t>(options_.batch, images);
  // So many that no count of images, batches or steps overflows.
  const int64_t most_epochs = (int64_t{1} << 62) / images;
  if (options_.epochs > most_epochs) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} epochs of {} images are more than can be counted: take {} at most",
                             options_.epochs, images, most_epochs)};
  }
  const Precision asked = options_.session.precision;
  options_.session.precision = supported_precision(device_.info(), asked);
  state_.options = record_options(options_, model_, data_);
  if (!options_.resume.empty()) {
    CALDERA_TRY(restore(asked));
  } else {
    if (mixed()) state_.loss_scale = options_.loss_scale.initial;
    state_.weights = model_.weights();
    for (const NamedTensor& named : model_.checkpoint().tensors) {
      if (named.name.ends_with(kBatchCounter)) state_.weights.emplace(named.name, named.tensor);
    }
    state_.steps_an_epoch = steps_of(batches_an_epoch());
  }
  options_.schedule.epochs = options_.epochs;
  options_.schedule.steps_an_epoch = std::max<int64_t>(state_.steps_an_epoch, 1);
  if (options_.schedule.warmup >= all_steps()) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("a warm-up of {} steps, but there are {} in all: take fewer",
                             options_.schedule.warmup, all_steps())};
  }
  return {};
}

namespace {

std::string_view training_name(Precision precision) {
  return precision == Precision::kFp16 ? "mixed precision" : precision_name(precision);
}

}  // namespace

Status Fitter::restore(Precision asked) {
  const RecordedOptions now = std::move(state_.options);
  CALDERA_TRY_ASSIGN(state_, load_training_state(options_.resume));
  // Of the same options on a lesser device. In fp32 it would go on to other bits.
  if (asked != options_.session.precision && state_.options["precision"] != now.at("precision")) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: this run is in {}, and {} has no {}: go on with it on a device "
                             "that has",
                             options_.resume.string(), training_name(asked), device_.info().name,
                             precision_name(asked))};
  }
  if (const Status same = check_same_options(state_.options, now); !same.ok()) {
    return Error{same.error().code,
                 fmt::format("{}: {}", options_.resume.string(), same.error().message)};
  }
  if (!can_have_come_here()) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: its training metadata is damaged: other numbers of images "
                             "or steps than these options give",
                             options_.resume.string())};
  }
  const LossScale& scale = options_.loss_scale;
  const bool sensible =
      state_.loss_scale >= scale.least && state_.loss_scale <= scale.most &&
      (scale.growth_interval <= 0 || state_.updates_at_scale < scale.growth_interval);
  if (mixed() && !sensible) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: its training metadata is damaged: a loss scale of {} for {} "
                             "updates",
                             options_.resume.string(), state_.loss_scale, state_.updates_at_scale)};
  }
  counted_before_ = state_.runs;
  return {};
}

// By what the options, which are those of the checkpoint, give at most.
bool Fitter::can_have_come_here() const {
  const auto images = std::ssize(data_.train.samples);
  const auto validated = std::ssize(data_.validation.samples);
  const int64_t batches = batches_an_epoch();
  return state_.epoch <= options_.epochs && state_.batch <= batches &&
         state_.runs <= state_.epoch * batches + state_.batch &&
         state_.steps_an_epoch == steps_of(batches) && state_.sums.images <= images &&
         std::ranges::all_of(state_.epochs, [&](const EpochRecord& record) {
           return record.images <= images &&
                  (!record.validation || record.validation->images <= validated);
         });
}

// As bytes, where the device binds a batch of them at once.
void Fitter::choose_input() {
  const Size2d size = model_.input_size();
  const auto bytes = static_cast<uint64_t>(options_.batch * size.h * size.w) * Pixels::kBytes;
  options_.session.pixels = nullptr;
  if (bytes > device_.info().max_storage_buffer_range || options_.session.profile) return;
  options_.session.pixels = std::make_shared<const PixelValues>(pixel_values(model_.preprocess()));
  pixels_ = std::make_shared<PixelPool>(device_, options_.batch, size);
}

Status Fitter::make_trainer() {
  choose_input();
  CALDERA_TRY_ASSIGN(const Graph graph, model_.graph(1));
  CALDERA_TRY_ASSIGN(trained_, choose_parameters(graph, options_.parameters));
  options_.spec.trainable = [trained = trained_](std::string_view name) {
    return std::find(trained.begin(), trained.end(), name) != trained.end();
  };
  // Also refuses a checkpoint whose tensors do not fit.
  CALDERA_TRY_ASSIGN(const Model start,
                     Model::from_weights(model_.architecture(), model_.preprocess(),
                                         model_.labels(), state_.weights));
  Weights weights = start.weights();
  for (const std::string& name : trained_) {
    for (const std::string_view kind : optimizer_states(options_.spec.optimizer)) {
      const std::string moment = state_name(name, kind);
      const auto found = state_.moments.find(moment);
      if (found != state_.moments.end()) {
        if (found->second.shape() != weights.at(name).shape()) {
          return Error{ErrorCode::kInvalidInput,
                       fmt::format("{}: {} is of another shape than its parameter",
                                   options_.resume.string(), moment)};
        }
        weights.insert_or_assign(moment, found->second);
      } else if (!options_.resume.empty()) {
        return Error{ErrorCode::kInvalidInput,
                     fmt::format("{}: {} is missing", options_.resume.string(), moment)};
      } else if (kind == "ema") {
        weights.insert_or_assign(moment, weights.at(name));  // An average begins where it is.
      }
    }
  }
  if (!data_.validation.samples.empty()) {
    CALDERA_TRY_ASSIGN(evaluator_,
                       Evaluator::create(device_, start, data_.validation,
                                         {.submit_seconds = options_.session.submit_seconds},
                                         options_.batch, options_.threads));
  }
  const int64_t good = std::ssize(data_.train.samples) - std::ssize(state_.bad_samples);
  CALDERA_TRY_ASSIGN(trainer_, BatchTrainer::create(
                                   device_, model_, std::move(weights),
                                   {.spec = options_.spec,
                                    .session = options_.session,
                                    .loss_scale = options_.loss_scale,
                                    .seed = options_.seed},
                                   options_.batch, options_.drop_last ? 0 : good % options_.batch));
  trainer_->current().set_updates(state_.updates);
  trainer_->current().set_runs(state_.runs);
  trainer_->current().set_loss_scale(state_.loss_scale, state_.updates_at_scale);

  FitObserver::Start told{.trained = trained_,
                          .trained_elements = 0,
                          .step = state_.steps(),
                          .steps = all_steps(),
                          .stats = trainer_->current().session().stats(),
                          .done = &state_.epochs,
                          .before = nullptr};
  std::optional<Evaluation> before;
  if (options_.validate_first && evaluator_ && state_.steps() == 0) {
    CALDERA_TRY_ASSIGN(before, evaluator_->run(start.weights(), observer_.on_bad_image));
    told.before = &*before;
  }
  for (const std::string& name : trained_) told.trained_elements += state_.weights.at(name).size();
  if (observer_.on_start) observer_.on_start(told);
  return {};
}

Status Fitter::make_loader() {
  const Size2d size = model_.input_size();
  BatchOptions batches{.batch = options_.batch,
                       .shuffle = options_.shuffle,
                       .drop_last = options_.drop_last,
                       .seed = options_.seed,
                       .augmentation = options_.augmentation,
                       .threads = options_.threads,
                       .cache_bytes = options_.cache_bytes,
                       .first_epoch = state_.epoch,
                       .first_batch = state_.batch,
                       .known_bad = state_.bad_samples};
  if (pixels_) batches.pixels = [pool = pixels_] { return pool->take(); };
  CALDERA_TRY_ASSIGN(
      loader_, BatchLoader::create(data_.train, model_.preprocess(), size.w, size.h, batches));
  return {};
}

}  // namespace caldera
