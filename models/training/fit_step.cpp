// A step of fit(): its batches read, run and recorded, and what is told where it went wrong.
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "caldera/nonfinite.h"
#include "caldera/targets.h"

#include "models/training/fitter.h"

namespace caldera {

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
  const double rate = learning_rate(options_.schedule, state_.steps());
  const float scale = trainer_->current().loss_scale();
  CALDERA_TRY_ASSIGN(const StepResult result, trainer_->run(batch.images, targets, n, rate, apply));
  // Gradients may overflow by the loss scale's fault, while that can go down: a part's spoil the
  // sum, which the step then skips. The loss knows nothing of the scale.
  const bool excused = apply ? result.rescaled : mixed() && scale > options_.loss_scale.least;
  if (!std::isfinite(result.loss) || (!std::isfinite(result.gradient_norm) && !excused))
    return nonfinite(batch, targets, group, scale);
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

// What to tell: the optimizer left the parameters alone, so the step can be run again to see. The
// trainer is gone afterwards: the search keeps every activation, and needs its memory.
Error Fitter::nonfinite(const Batch& batch, std::span<const float> targets, int64_t group,
                        float loss_scale) {
  const int64_t n = std::ssize(batch.labels);
  std::string where;
  const std::vector<double> norms = trainer_->current().gradient_norms();
  const std::vector<std::string> names = trainer_->current().parameters();
  const bool of_halves = mixed();
  const Status looked = [&]() -> Status {
    CALDERA_TRY_ASSIGN(Weights weights, trainer_->current().states());
    trainer_.reset();
    evaluator_.reset();
    std::erase_if(weights, [](const auto& item) { return item.first.ends_with(".grad"); });
    for (const auto& [name, tensor] : state_.weights) weights.emplace(name, tensor);
    CALDERA_TRY_ASSIGN(const Graph graph, model_.graph(n));
    CALDERA_TRY_ASSIGN(const auto found,
                       find_nonfinite(device_, graph, options_.spec, weights, batch.images, targets,
                                      options_.session.precision, loss_scale));
    if (found)
      where = fmt::format("first in {}: {} is {}", found->layer, found->what,
                          found->nan ? "no number" : "infinite");
    return {};
  }();
  if (where.empty()) {
    for (size_t i = norms.size(); i-- > 0 && where.empty();) {
      if (!std::isfinite(norms[i])) where = fmt::format("in the gradient of {}", names[i]);
    }
  }
  if (where.empty())
    where = looked.ok() ? "in the sum of the gradients' squares" : looked.error().message;
  return {ErrorCode::kInvalidInput,
          fmt::format("step {} (epoch {}, {} images): a number that is not finite, {}; {}take a "
                      "smaller learning rate, a warm-up, or clip the norm of gradients",
                      state_.steps() + 1, batch.epoch + 1, group, where,
                      of_halves ? "train in fp32, " : "")};
}

Status Fitter::step() {
  const auto start = Clock::now();
  int64_t images = 0;
  for (const Batch& batch : group_) images += std::ssize(batch.labels);
  StepRecord record{.epoch = group_.front().epoch, .images = images};
  record.learning_rate = learning_rate(options_.schedule, state_.steps());
  record.loss_scale = double{trainer_->current().loss_scale()};
  double loss = 0;
  for (size_t i = 0; i < group_.size(); ++i) {
    const bool last = i + 1 == group_.size();
    CALDERA_TRY_ASSIGN(const StepResult result, run_batch(group_[i], images, last, record.correct));
    loss += result.loss;
    record.gradient_norm = result.gradient_norm;
    record.skipped = result.skipped;
  }
  saved_ = false;
  state_.updates = trainer_->current().updates();
  state_.runs = trainer_->current().runs();
  state_.loss_scale = trainer_->current().loss_scale();
  state_.updates_at_scale = trainer_->current().updates_at_scale();
  state_.sums.skipped_steps += record.skipped;
  state_.batch = group_.back().index + 1;
  state_.bad_samples = loader_->bad_samples();
  record.waited = loader_->seconds_waited() - waited_;
  waited_ += record.waited;
  record.seconds = seconds_since(start) + record.waited;
  record.step = state_.steps();
  record.steps_an_epoch = state_.steps_an_epoch;
  record.step_in_epoch = steps_of(state_.batch);
  record.steps = all_steps();
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

}  // namespace caldera
