// Two trainers that act as one; see batch_trainer.h.
#include "models/training/batch_trainer.h"

#include <algorithm>

namespace caldera {

BatchTrainer::BatchTrainer(const Device& device, const Model& model, Weights weights,
                           TrainerOptions options, int64_t batch, Trainer full)
    : device_(device),
      model_(model),
      weights_(std::move(weights)),
      options_(std::move(options)),
      batch_(batch),
      full_(std::move(full)) {}

Result<BatchTrainer> BatchTrainer::create(const Device& device, const Model& model, Weights weights,
                                          const TrainerOptions& options, int64_t batch,
                                          int64_t remainder) {
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(batch));
  CALDERA_TRY_ASSIGN(Trainer full, Trainer::create(device, graph, weights, options));
  BatchTrainer trainer(device, model, std::move(weights), options, batch, std::move(full));
  if (remainder > 0 && options.spec.batch_norm == BatchNormMode::kTrain)
    CALDERA_TRY(trainer.make_part(remainder));
  return trainer;
}

Status BatchTrainer::make_part(int64_t n) {
  part_.reset();  // Its memory first.
  CALDERA_TRY_ASSIGN(const Graph graph, model_.graph(n));
  CALDERA_TRY_ASSIGN(part_, Trainer::create(device_, graph, weights_, options_));
  part_size_ = n;
  return {};
}

Status BatchTrainer::hand_over(bool to_part) {
  if (on_part_ == to_part) return {};
  CALDERA_TRY_ASSIGN(const Weights states, current().states());
  Trainer& next = to_part ? *part_ : full_;
  CALDERA_TRY(next.set_states(states));
  next.set_updates(current().updates());
  next.set_runs(current().runs());
  next.set_loss_scale(current().loss_scale(), current().updates_at_scale());
  on_part_ = to_part;
  return {};
}

Result<StepResult> BatchTrainer::run(std::span<const float> images, std::span<const float> targets,
                                     int64_t n, double learning_rate, bool apply) {
  const bool fill = n < batch_ && options_.spec.batch_norm == BatchNormMode::kFrozen;
  if (n == batch_ || fill) {
    CALDERA_TRY(hand_over(false));
  } else {
    if (!part_ || part_size_ != n) {
      CALDERA_TRY(hand_over(false));
      CALDERA_TRY(make_part(n));
    }
    CALDERA_TRY(hand_over(true));
  }
  if (fill) {
    const auto whole = [&](std::span<const float> given, std::vector<float>& filled) {
      filled.assign(given.size() / static_cast<size_t>(n) * static_cast<size_t>(batch_), 0.0f);
      std::copy(given.begin(), given.end(), filled.begin());
      return std::span<const float>(filled);
    };
    images = whole(images, images_);
    targets = whole(targets, targets_);
  }
  return apply ? current().step(images, targets, static_cast<float>(learning_rate))
               : current().accumulate(images, targets);
}

}  // namespace caldera
