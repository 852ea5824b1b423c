// Two trainers that act as one; see batch_trainer.h.
#include "models/training/batch_trainer.h"

#include <algorithm>

namespace caldera {

BatchTrainer::BatchTrainer(Model model, Weights weights, BatchNormMode batch_norm, int64_t batch,
                           Trainer full)
    : model_(std::move(model)),
      weights_(std::move(weights)),
      batch_norm_(batch_norm),
      batch_(batch),
      full_(std::move(full)) {}

Result<BatchTrainer> BatchTrainer::create(const Device& device, const Model& model, Weights weights,
                                          const TrainerOptions& options, int64_t batch,
                                          int64_t remainder) {
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(batch));
  TrainerOptions two = options;  // A batch begins while the one before is under way.
  two.session.frames_in_flight = std::max(2, options.session.frames_in_flight);
  CALDERA_TRY_ASSIGN(Trainer full, Trainer::create(device, graph, weights, two));
  BatchTrainer trainer(model, std::move(weights), options.spec.batch_norm, batch, std::move(full));
  if (remainder > 0 && options.spec.batch_norm == BatchNormMode::kTrain)
    CALDERA_TRY(trainer.make_part(remainder));
  return trainer;
}

Status BatchTrainer::make_part(int64_t n) {
  part_.reset();  // Its memory first.
  CALDERA_TRY_ASSIGN(const Graph graph, model_.graph(n));
  CALDERA_TRY_ASSIGN(part_, full_.with_batch(graph, weights_));
  part_size_ = n;
  on_part_ = false;
  return {};
}

Status BatchTrainer::begin(std::span<const float> images, std::span<const float> targets,
                           int64_t n) {
  const bool fill = n < batch_ && batch_norm_ == BatchNormMode::kFrozen;
  begun_on_part_ = n < batch_ && !fill;
  if (begun_on_part_ && (!part_ || part_size_ != n)) CALDERA_TRY(make_part(n));
  if (fill) {
    const auto whole = [&](std::span<const float> given, std::vector<float>& filled) {
      filled.assign(given.size() / static_cast<size_t>(n) * static_cast<size_t>(batch_), 0.0f);
      std::copy(given.begin(), given.end(), filled.begin());
      return std::span<const float>(filled);
    };
    images = whole(images, images_);
    targets = whole(targets, targets_);
  }
  return begun_on_part_ ? part_->begin(images, targets) : full_.begin(images, targets);
}

Status BatchTrainer::commit(double learning_rate, bool apply) {
  on_part_ = begun_on_part_;
  return current().commit(static_cast<float>(learning_rate), apply);
}

}  // namespace caldera
