// The loop around Trainer; see fit.h. A checkpoint is made only between steps, where gradients are
// zero and the loader's place is known, so that going on from one is no special case: the loop
// begins at (epoch, batch) with the states of then, whether those are zero or not.
#include "caldera/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "caldera/batch_loader.h"
#include "caldera/nonfinite.h"
#include "caldera/targets.h"

#include "models/training/batch_trainer.h"
#include "models/training/evaluation.h"
#include "models/training/fit_options.h"
#include "models/training/training_state.h"

namespace caldera {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kCounter = "num_batches_tracked";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t count_of(const Tensor& counter) {
  int64_t count = 0;
  if (counter.dtype() == DType::kI64 && counter.bytes().size() == sizeof(count))
    std::memcpy(&count, counter.bytes().data(), sizeof(count));
  return count;
}

Tensor counter_of(int64_t count) {
  std::vector<std::byte> bytes(sizeof(count));
  std::memcpy(bytes.data(), &count, sizeof(count));
  return Tensor::from_bytes(DType::kI64, {}, std::move(bytes));
}

// A run from its first step, or from where its checkpoint left it.
class Fitter {
 public:
  Fitter(const Device& device, const Model& model, const FolderSplit& data,
         const FitOptions& options, const FitObserver& observer)
      : device_(device), model_(model), data_(data), options_(options), observer_(observer) {}

  Result<FitResult> run();

 private:
  Status prepare();
  Status restore();
  Status make_trainer();
  Status make_loader();
  Status train();
  Result<bool> read_group();
  Status step();
  Result<StepResult> run_batch(Batch& batch, int64_t group, bool apply, int64_t& correct);
  Error nonfinite(const Batch& batch, std::span<const float> targets, int64_t group);
  std::vector<double> gradient_norms() const;  // By trained_.
  Status end_epoch();
  Status checkpoint();
  void tell_bad(const Batch& batch);
  bool asked_to_stop() const { return observer_.stop && observer_.stop(); }
  bool averages() const { return options_.spec.optimizer.ema_decay != 0; }
  int64_t steps() const { return options_.epochs * state_.steps_an_epoch; }
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
  std::optional<BatchTrainer> trainer_;
  std::optional<BatchLoader> loader_;
  std::optional<Evaluator> evaluator_;
  std::vector<Batch> group_;
  int64_t skipped_ = 0;
  double waited_ = 0;  // Of the loader's, that records have told.
  bool end_of_epoch_ = false;
  bool stopped_ = false;
  bool saved_ = false;  // What is in the file is what is here.
  Clock::time_point last_checkpoint_ = Clock::now();
};

Status Fitter::prepare() {
  // Trainer::step() may skip where it finds its loss scale, which this loop takes for a mistake.
  if (options_.session.precision != Precision::kFp32) {
    return Error{ErrorCode::kUnsupported, "fit() trains in fp32: leave the precision out"};
  }
  CALDERA_TRY(check_fit_options(options_));
  const auto images = std::ssize(data_.train.samples);
  if (images == 0) return Error{ErrorCode::kInvalidInput, "training: there is no image"};
  if (model_.architecture().input_channels != 3) {
    return Error{ErrorCode::kUnsupported, fmt::format("{} takes {} channels, but images have 3",
                                                      model_.architecture().full_name(),
                                                      model_.architecture().input_channels)};
  }
  options_.batch = std::min<int64_t>(options_.batch, images);
  state_.options = record_options(options_, model_, data_);
  if (!options_.resume.empty()) {
    CALDERA_TRY(restore());
  } else {
    state_.weights = model_.weights();
    for (const NamedTensor& named : model_.checkpoint().tensors) {
      if (named.name.ends_with(kCounter)) state_.weights.emplace(named.name, named.tensor);
    }
    const int64_t batches = batches_an_epoch(images, options_.batch, options_.drop_last);
    state_.steps_an_epoch = (batches + options_.accumulate - 1) / options_.accumulate;
  }
  options_.schedule.epochs = options_.epochs;
  options_.schedule.steps_an_epoch = std::max<int64_t>(state_.steps_an_epoch, 1);
  if (options_.schedule.warmup >= steps()) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("a warm-up of {} steps, but there are {} in all: take fewer",
                             options_.schedule.warmup, steps())};
  }
  return {};
}

Status Fitter::restore() {
  const RecordedOptions now = std::move(state_.options);
  CALDERA_TRY_ASSIGN(state_, load_training_state(options_.resume));
  if (const Status same = check_same_options(state_.options, now); !same.ok()) {
    return Error{same.error().code,
                 fmt::format("{}: {}", options_.resume.string(), same.error().message)};
  }
  if (state_.epoch > options_.epochs) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: its training metadata is damaged: epoch {} of {}",
                             options_.resume.string(), state_.epoch, options_.epochs)};
  }
  counted_before_ = state_.runs;
  return {};
}

Status Fitter::make_trainer() {
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
                                         {.precision = options_.session.precision,
                                          .submit_seconds = options_.session.submit_seconds},
                                         options_.batch, options_.threads));
  }
  const int64_t good = std::ssize(data_.train.samples) - std::ssize(state_.bad_samples);
  CALDERA_TRY_ASSIGN(
      trainer_, BatchTrainer::create(
                    device_, model_, std::move(weights),
                    {.spec = options_.spec, .session = options_.session, .seed = options_.seed},
                    options_.batch, options_.drop_last ? 0 : good % options_.batch));
  trainer_->current().set_updates(state_.updates);
  trainer_->current().set_runs(state_.runs);

  FitObserver::Start told{.trained = trained_,
                          .trained_elements = 0,
                          .step = state_.updates,
                          .steps = steps(),
                          .stats = trainer_->current().session().stats(),
                          .done = &state_.epochs,
                          .before = nullptr};
  std::optional<Evaluation> before;
  if (options_.validate_first && evaluator_ && state_.updates == 0) {
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
  CALDERA_TRY_ASSIGN(
      loader_, BatchLoader::create(data_.train, model_.preprocess(), size.w, size.h, batches));
  return {};
}

void Fitter::tell_bad(const Batch& batch) {
  for (const BadSample& bad : batch.bad) {
    if (observer_.on_bad_image) observer_.on_bad_image(bad.error);
  }
}

// The batches of the next step; false where the epoch has none left.
Result<bool> Fitter::read_group() {
  group_.clear();
  while (!end_of_epoch_ && std::ssize(group_) < options_.accumulate) {
    Batch batch;
    CALDERA_TRY_ASSIGN(const bool more, loader_->next(batch));
    tell_bad(batch);
    end_of_epoch_ = !more;
    if (more) group_.push_back(std::move(batch));
  }
  return !group_.empty();
}

// `group`: how many images make the step.
Result<StepResult> Fitter::run_batch(Batch& batch, int64_t group, bool apply, int64_t& correct) {
  const int64_t n = std::ssize(batch.labels);
  const int64_t classes = model_.architecture().classes;
  std::optional<Mixup> mixup;
  if (options_.mixup > 0) {
    mixup = make_mixup(n, options_.mixup, MixupWeight::kOnePerBatch, options_.seed, batch.epoch,
                       batch.index);
    apply_mixup(*mixup, batch.images);
  }
  CALDERA_TRY_ASSIGN(const Tensor made, make_targets(batch.labels, classes,
                                                     {.label_smoothing = options_.label_smoothing,
                                                      .class_weights = {}},
                                                     mixup ? &*mixup : nullptr));
  std::vector<float> targets(made.floats().begin(), made.floats().end());
  if (group != n) {
    const auto share = static_cast<float>(static_cast<double>(n) / static_cast<double>(group));
    for (float& target : targets) target *= share;
  }
  const double rate = learning_rate(options_.schedule, trainer_->current().updates());
  CALDERA_TRY_ASSIGN(const StepResult result, trainer_->run(batch.images, targets, n, rate, apply));
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm) || result.skipped)
    return nonfinite(batch, targets, group);
  const std::span<const float> logits = trainer_->current().logits();
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    const bool other = mixup && mixup->weight[at] < 0.5f;
    const int32_t label = batch.labels[other ? static_cast<size_t>(mixup->partner[at]) : at];
    const auto row =
        logits.subspan(at * static_cast<size_t>(classes), static_cast<size_t>(classes));
    correct += best_class(row) == label;
  }
  return result;
}

// What to tell: the optimizer left the parameters alone, so the step can be run again to see.
Error Fitter::nonfinite(const Batch& batch, std::span<const float> targets, int64_t group) {
  const int64_t n = std::ssize(batch.labels);
  const int64_t step = trainer_->current().updates() + 1;
  std::string where;
  const Status looked = [&]() -> Status {
    CALDERA_TRY_ASSIGN(Weights weights, trainer_->current().states());
    std::erase_if(weights, [](const auto& item) { return item.first.ends_with(".grad"); });
    for (const auto& [name, tensor] : state_.weights) weights.emplace(name, tensor);
    CALDERA_TRY_ASSIGN(const Graph graph, model_.graph(n));
    CALDERA_TRY_ASSIGN(const auto found, find_nonfinite(device_, graph, options_.spec, weights,
                                                        batch.images, targets));
    if (found)
      where = fmt::format("first in {}: {} is {}", found->layer, found->what,
                          found->nan ? "no number" : "infinite");
    return {};
  }();
  if (where.empty()) {
    const std::vector<double> norms = trainer_->current().gradient_norms();
    const std::vector<std::string>& names = trainer_->current().parameters();
    for (size_t i = norms.size(); i-- > 0 && where.empty();) {
      if (!std::isfinite(norms[i])) where = fmt::format("in the gradient of {}", names[i]);
    }
  }
  if (where.empty())
    where = looked.ok() ? "in the sum of the gradients' squares" : looked.error().message;
  return {ErrorCode::kInvalidInput,
          fmt::format("step {} (epoch {}, {} images): a number that is not finite, {}; take a "
                      "smaller learning rate, a warm-up, or clip the norm of gradients",
                      step, batch.epoch + 1, group, where)};
}

Status Fitter::step() {
  const auto start = Clock::now();
  int64_t images = 0;
  for (const Batch& batch : group_) images += std::ssize(batch.labels);
  StepRecord record{.epoch = group_.front().epoch, .images = images};
  record.learning_rate = learning_rate(options_.schedule, trainer_->current().updates());
  double loss = 0;
  for (size_t i = 0; i < group_.size(); ++i) {
    const bool last = i + 1 == group_.size();
    CALDERA_TRY_ASSIGN(const StepResult result, run_batch(group_[i], images, last, record.correct));
    loss += result.loss;
    record.gradient_norm = result.gradient_norm;
  }
  saved_ = false;
  state_.updates = trainer_->current().updates();
  state_.runs = trainer_->current().runs();
  state_.batch = group_.back().index + 1;
  state_.bad_samples = loader_->bad_samples();
  record.waited = loader_->seconds_waited() - waited_;
  waited_ += record.waited;
  record.seconds = seconds_since(start) + record.waited;
  record.step = state_.updates;
  record.steps_an_epoch = state_.steps_an_epoch;
  record.step_in_epoch = (state_.batch + options_.accumulate - 1) / options_.accumulate;
  record.steps = steps();
  record.loss = loss;
  state_.sums.images += images;
  state_.sums.correct += record.correct;
  state_.sums.loss += loss * static_cast<double>(images);
  state_.sums.seconds += record.seconds;
  state_.sums.waited += record.waited;
  if (observer_.on_step) {
    const std::vector<double> norms = gradient_norms();
    record.gradient_norms = norms;
    observer_.on_step(record);
  }
  return {};
}

// The trainer's come in the order in which the way back meets parameters, which is another.
std::vector<double> Fitter::gradient_norms() const {
  const std::vector<double> norms = trainer_->current().gradient_norms();
  const std::vector<std::string>& names = trainer_->current().parameters();
  std::map<std::string_view, double> by_name;
  for (size_t i = 0; i < norms.size(); ++i) by_name.emplace(names[i], norms[i]);
  std::vector<double> ordered;
  for (const std::string& name : trained_) {
    const auto found = by_name.find(name);
    ordered.push_back(found == by_name.end() ? 0 : found->second);
  }
  return ordered;
}

Status Fitter::download() {
  CALDERA_TRY_ASSIGN(const Weights states, trainer_->current().states());
  const bool counts = options_.spec.batch_norm == BatchNormMode::kTrain;
  for (auto& [name, tensor] : state_.weights) {
    if (name.ends_with(kCounter)) {
      if (counts) tensor = counter_of(count_of(tensor) + state_.runs - counted_before_);
    } else if (const auto found = states.find(name); found != states.end()) {
      tensor = found->second;
    }
  }
  counted_before_ = state_.runs;
  state_.moments.clear();
  for (const auto& [name, tensor] : states) {
    if (!state_.weights.contains(name) && !name.ends_with(".grad"))
      state_.moments.emplace(name, tensor);
  }
  return {};
}

Weights Fitter::weights_to_use() const {
  Weights weights = state_.weights;
  if (!averages()) return weights;
  for (auto& [name, tensor] : weights) {
    const auto average = state_.moments.find(state_name(name, "ema"));
    if (average != state_.moments.end()) tensor = average->second;
  }
  return weights;
}

Status Fitter::checkpoint() {
  if (options_.checkpoints.empty() || saved_) return {};
  CALDERA_TRY(download());
  CALDERA_TRY(save_training_state(last_checkpoint(options_.checkpoints), model_, state_));
  last_checkpoint_ = Clock::now();
  saved_ = true;
  return {};
}

Status Fitter::end_epoch() {
  EpochRecord record{.epoch = state_.epoch,
                     .images = state_.sums.images,
                     .correct = state_.sums.correct,
                     .seconds = state_.sums.seconds,
                     .waited = state_.sums.waited};
  record.loss = state_.sums.loss / static_cast<double>(std::max<int64_t>(1, record.images));
  CALDERA_TRY(download());
  if (evaluator_) {
    const auto start = Clock::now();
    CALDERA_TRY_ASSIGN(record.validation,
                       evaluator_->run(weights_to_use(), observer_.on_bad_image));
    record.validation_seconds = seconds_since(start);
    record.best =
        std::none_of(state_.epochs.begin(), state_.epochs.end(), [&](const EpochRecord& before) {
          return before.validation && before.validation->correct >= record.validation->correct;
        });
    if (record.best && !options_.checkpoints.empty()) {
      CALDERA_TRY_ASSIGN(const Model best,
                         Model::from_weights(model_.architecture(), model_.preprocess(),
                                             model_.labels(), weights_to_use()));
      CALDERA_TRY(best.save(best_checkpoint(options_.checkpoints)));
    }
  }
  state_.bad_samples = loader_->bad_samples();
  state_.epochs.push_back(record);
  state_.sums = {};
  state_.batch = 0;
  ++state_.epoch;
  end_of_epoch_ = false;
  saved_ = false;
  CALDERA_TRY(checkpoint());
  if (observer_.on_epoch) observer_.on_epoch(record);
  return {};
}

Status Fitter::train() {
  while (state_.epoch < options_.epochs) {
    if (asked_to_stop()) {
      stopped_ = true;
      return checkpoint();
    }
    CALDERA_TRY_ASSIGN(const bool more, read_group());
    if (!more) {
      CALDERA_TRY(end_epoch());
      continue;
    }
    CALDERA_TRY(step());
    const bool by_step =
        options_.checkpoint_steps > 0 && state_.updates % options_.checkpoint_steps == 0;
    const bool by_time = options_.checkpoint_seconds > 0 &&
                         seconds_since(last_checkpoint_) >= options_.checkpoint_seconds;
    if (by_step || by_time) CALDERA_TRY(checkpoint());
  }
  return {};
}

Result<FitResult> Fitter::result() {
  CALDERA_TRY(download());
  CALDERA_TRY_ASSIGN(Model trained, Model::from_weights(model_.architecture(), model_.preprocess(),
                                                        model_.labels(), weights_to_use()));
  FitResult result{.model = std::move(trained),
                   .epochs = state_.epochs,
                   .best_epoch = std::nullopt,
                   .steps = state_.updates,
                   .stopped = stopped_,
                   .skipped = std::ssize(state_.bad_samples),
                   .optimizer = {.attrs = options_.spec.optimizer,
                                 .decay_vectors = options_.spec.decay_vectors,
                                 .learning_rate = learning_rate(options_.schedule, state_.updates),
                                 .updates = state_.updates,
                                 .parameters = trained_,
                                 .moments = state_.moments}};
  if (evaluator_) result.skipped += evaluator_->skipped();
  for (const EpochRecord& record : state_.epochs) {
    if (record.best) result.best_epoch = record.epoch;
  }
  return result;
}

Result<FitResult> Fitter::run() {
  CALDERA_TRY(prepare());
  CALDERA_TRY(make_trainer());
  if (state_.epoch < options_.epochs) {
    CALDERA_TRY(make_loader());
    last_checkpoint_ = Clock::now();
    CALDERA_TRY(train());
  }
  return result();
}

}  // namespace

Result<FitResult> fit(const Device& device, const Model& model, const FolderSplit& data,
                      const FitOptions& options, const FitObserver& observer) {
  return detail::no_throw<Result<FitResult>>(
      "training", [&] { return Fitter(device, model, data, options, observer).run(); });
}

std::filesystem::path last_checkpoint(const std::filesystem::path& folder) {
  return folder / "last.safetensors";
}

std::filesystem::path best_checkpoint(const std::filesystem::path& folder) {
  return folder / "best.safetensors";
}

}  // namespace caldera
