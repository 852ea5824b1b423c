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

Result<Trainer*> BatchTrainer::trainer_for(int64_t n) {
  begun_on_part_ = n < batch_ && !fills(n);
  if (!begun_on_part_) return &full_;
  if (!part_ || part_size_ != n) CALDERA_TRY(make_part(n));
  return &*part_;
}

std::span<const float> BatchTrainer::filled(std::span<const float> given, int64_t n,
                                            std::vector<float>& whole) {
  if (!fills(n)) return given;
  whole.assign(given.size() / static_cast<size_t>(n) * static_cast<size_t>(batch_), 0.0f);
  std::copy(given.begin(), given.end(), whole.begin());
  return whole;
}

Status BatchTrainer::begin(std::span<const float> images, std::span<const float> targets,
                           int64_t n) {
  CALDERA_TRY_ASSIGN(Trainer * trainer, trainer_for(n));
  return trainer->begin(filled(images, n, images_), filled(targets, n, targets_));
}

Status BatchTrainer::begin(const Pixels& images, std::span<const float> targets, int64_t n) {
  CALDERA_TRY_ASSIGN(Trainer * trainer, trainer_for(n));
  if (fills(n)) {
    for (int64_t i = n; i < batch_; ++i) {
      std::ranges::fill(images.image(i), uint8_t{0});
      images.mix(i, 1, static_cast<int32_t>(i));
    }
  }
  return trainer->begin(images, filled(targets, n, targets_));
}

Status BatchTrainer::commit(double learning_rate, bool apply) {
  on_part_ = begun_on_part_;
  return current().commit(static_cast<float>(learning_rate), apply);
}

}  // namespace caldera
