// The loop around Trainer; see fit.h. A checkpoint is made only between steps, where gradients are
// zero and the loader's place is known, so that going on from one is no special case: the loop
// begins at (epoch, batch) with the states of then, whether those are zero or not.
#include "caldera/fit.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "models/training/fitter.h"

namespace caldera {

namespace {

// Counts on. A file may have said any number: as PyTorch's, it wraps.
Tensor counted_on(const Tensor& counter, int64_t more) {
  uint64_t count = 0;
  if (counter.dtype() == DType::kI64 && counter.bytes().size() == sizeof(count))
    std::memcpy(&count, counter.bytes().data(), sizeof(count));
  count += static_cast<uint64_t>(more);
  std::vector<std::byte> bytes(sizeof(count));
  std::memcpy(bytes.data(), &count, sizeof(count));
  return Tensor::from_bytes(DType::kI64, {}, std::move(bytes));
}

}  // namespace

Status Fitter::download() {
  CALDERA_TRY_ASSIGN(const Weights states, trainer_->current().states());
  const bool counts = options_.spec.batch_norm == BatchNormMode::kTrain;
  for (auto& [name, tensor] : state_.weights) {
    if (name.ends_with(kBatchCounter)) {
      if (counts) tensor = counted_on(tensor, state_.runs - counted_before_);
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
                     .skipped_steps = state_.sums.skipped_steps,
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

// While the device runs a batch the next one is read and its forward pass submitted, so that the
// device need not wait for the host to look at the step before. What changes anything is submitted
// after that: whoever stops between two steps has the states of the first (Trainer::begin).
Status Fitter::train_epoch() {
  std::optional<Run> under_way;
  last_step_ = Clock::now();
  const auto finish_run = [&]() -> Status {
    if (!under_way) return {};
    const bool last = under_way->last;
    CALDERA_TRY(finish(*std::exchange(under_way, std::nullopt)));
    if (!last) return {};
    const bool by_step =
        options_.checkpoint_steps > 0 && state_.steps() % options_.checkpoint_steps == 0;
    const bool by_time = options_.checkpoint_seconds > 0 &&
                         seconds_since(last_checkpoint_) >= options_.checkpoint_seconds;
    if (by_step || by_time) {
      CALDERA_TRY(checkpoint());
      last_step_ = Clock::now();
    }
    stopped_ = asked_to_stop();
    return {};
  };
  for (;;) {
    // A batch that is not there yet is waited for when the device has nothing else to do.
    if (!next_is_there()) CALDERA_TRY(finish_run());
    if (stopped_) return {};
    Run next;
    const Result<bool> more = begin(next);
    CALDERA_TRY(finish_run());
    if (stopped_) return {};
    tell_bad();
    if (!more.ok()) return more.error();
    if (!*more) return {};
    CALDERA_TRY(commit(next));
    under_way = std::move(next);
  }
}

Status Fitter::train() {
  while (state_.epoch < options_.epochs) {
    stopped_ = asked_to_stop();
    if (!stopped_) CALDERA_TRY(train_epoch());
    if (stopped_) return checkpoint();
    CALDERA_TRY(end_epoch());
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
                   .steps = state_.steps(),
                   .skipped_steps = state_.skipped_steps(),
                   .loss_scale = trainer_->current().loss_scale(),
                   .precision = options_.session.precision,
                   .stopped = stopped_,
                   .skipped = std::ssize(state_.bad_samples),
                   .optimizer = {.attrs = options_.spec.optimizer,
                                 .decay_vectors = options_.spec.decay_vectors,
                                 .learning_rate = learning_rate(options_.schedule, state_.steps()),
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
