// A batch of fit() on its way: read and begun, committed, finished; the steps that batches make,
// recorded; and what is told where one went wrong.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "caldera/nonfinite.h"
#include "caldera/targets.h"

#include "models/training/fitter.h"

namespace caldera {

void Fitter::tell_bad() {
  for (const BadSample& bad : std::exchange(bad_, {})) {
    if (observer_.on_bad_image) observer_.on_bad_image(bad.error);
  }
}

// The batches of the next step; false where the epoch has none left.
Result<bool> Fitter::read_group() {
  group_.clear();
  next_in_group_ = 0;
  group_images_ = 0;
  while (!end_of_epoch_ && std::ssize(group_) < options_.accumulate) {
    Batch batch;
    CALDERA_TRY_ASSIGN(const bool more, loader_->next(batch));
    std::ranges::move(batch.bad, std::back_inserter(bad_));
    end_of_epoch_ = !more;
    if (!more) continue;
    group_images_ += std::ssize(batch.labels);
    group_.push_back(std::move(batch));
  }
  return !group_.empty();
}

// Reads the next batch and starts its forward pass; false where the epoch has none left.
Result<bool> Fitter::begin(Run& run) {
  if (next_in_group_ == group_.size()) {
    CALDERA_TRY_ASSIGN(const bool more, read_group());
    if (!more) return false;
  }
  run.images = group_images_;
  run.first = next_in_group_ == 0;
  run.batch = std::exchange(group_[next_in_group_++], {});
  run.last = next_in_group_ == group_.size();
  run.bad_samples = loader_->bad_samples();
  Batch& batch = run.batch;
  const int64_t n = std::ssize(batch.labels);
  const int64_t classes = model_.architecture().classes;
  if (options_.mixup > 0) {
    run.mixup = make_mixup(n, options_.mixup, MixupWeight::kOnePerBatch, options_.seed, batch.epoch,
                           batch.index);
    if (!batch.pixels) apply_mixup(*run.mixup, batch.images);
  }
  CALDERA_TRY_ASSIGN(const Tensor made, make_targets(batch.labels, classes,
                                                     {.label_smoothing = options_.label_smoothing,
                                                      .class_weights = {}},
                                                     run.mixup ? &*run.mixup : nullptr));
  run.targets.assign(made.floats().begin(), made.floats().end());
  if (run.images != n) {
    const auto share = static_cast<float>(static_cast<double>(n) / static_cast<double>(run.images));
    for (float& target : run.targets) target *= share;
  }
  if (!batch.pixels) {
    CALDERA_TRY(trainer_->begin(batch.images, run.targets, n));
    return true;
  }
  for (int32_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    batch.pixels->mix(i, run.mixup ? run.mixup->weight[at] : 1,
                      run.mixup ? run.mixup->partner[at] : i);
  }
  CALDERA_TRY(trainer_->begin(*batch.pixels, run.targets, n));
  return true;
}

Status Fitter::commit(const Run& run) {
  const double rate = learning_rate(options_.schedule, state_.steps());
  if (run.first) {
    record_ = {.epoch = run.batch.epoch, .images = run.images};
    record_.learning_rate = rate;
    record_.loss_scale = double{trainer_->current().loss_scale()};
  }
  return trainer_->commit(rate, /*apply=*/run.last);
}

// Waits for a batch and looks at what it gave.
Status Fitter::finish(const Run& run) {
  const float scale = trainer_->current().loss_scale();
  CALDERA_TRY_ASSIGN(const StepResult result, trainer_->wait());
  // Gradients may overflow by the loss scale's fault, while that can go down: a part's spoil the
  // sum, which the step then skips. The loss knows nothing of the scale.
  const bool excused = run.last ? result.rescaled : mixed() && scale > options_.loss_scale.least;
  if (!std::isfinite(result.loss) || (!std::isfinite(result.gradient_norm) && !excused))
    return nonfinite(run, scale);
  const auto classes = static_cast<size_t>(model_.architecture().classes);
  const std::span<const float> logits = trainer_->current().logits();
  for (size_t i = 0; i < run.batch.labels.size(); ++i) {
    const bool other = run.mixup && run.mixup->weight[i] < 0.5f;
    const int32_t label = run.batch.labels[other ? static_cast<size_t>(run.mixup->partner[i]) : i];
    record_.correct += best_class(logits.subspan(i * classes, classes)) == label;
  }
  record_.loss += result.loss;
  record_.gradient_norm = result.gradient_norm;
  record_.skipped = result.skipped;
  if (run.last) end_step(run);
  return {};
}

// What the device made of a batch's bytes.
std::vector<float> Fitter::floats_of(const Run& run) const {
  if (!run.batch.pixels) return run.batch.images;
  const PixelValues& values = *options_.session.pixels;
  const Size2d size = model_.input_size();
  const auto plane = static_cast<size_t>(size.h) * static_cast<size_t>(size.w);
  const size_t n = run.batch.labels.size();
  std::vector<float> images(n * 3 * plane);
  for (size_t i = 0; i < n; ++i) {
    const std::span<const uint8_t> from = run.batch.pixels->image(static_cast<int64_t>(i));
    for (size_t at = 0; at < plane; ++at) {
      for (size_t c = 0; c < 3; ++c) {
        const bool blank = from[4 * at + 3] == 0;
        images[(3 * i + c) * plane + at] = blank ? 0 : values[c][from[4 * at + c]];
      }
    }
  }
  if (run.mixup) apply_mixup(*run.mixup, images);
  return images;
}

// What to tell: the optimizer left the parameters alone, so the step can be run again to see. The
// trainer is gone afterwards: the search keeps every activation, and needs its memory.
Error Fitter::nonfinite(const Run& run, float loss_scale) {
  std::string where;
  const std::vector<double> norms = trainer_->current().gradient_norms();
  const std::vector<std::string> names = trainer_->current().parameters();
  const bool of_halves = mixed();
  const Status looked = [&]() -> Status {
    CALDERA_TRY_ASSIGN(Weights weights, trainer_->current().states());
    const std::vector<float> images = floats_of(run);
    trainer_.reset();
    evaluator_.reset();
    std::erase_if(weights, [](const auto& item) { return item.first.ends_with(".grad"); });
    for (const auto& [name, tensor] : state_.weights) weights.emplace(name, tensor);
    CALDERA_TRY_ASSIGN(const Graph graph, model_.graph(std::ssize(run.batch.labels)));
    CALDERA_TRY_ASSIGN(const auto found,
                       find_nonfinite(device_, graph, options_.spec, weights, images, run.targets,
                                      options_.session, loss_scale));
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
                      state_.steps() + 1, run.batch.epoch + 1, run.images, where,
                      of_halves ? "train in fp32, " : "")};
}

void Fitter::end_step(const Run& run) {
  StepRecord record = std::exchange(record_, {});
  saved_ = false;
  state_.updates = trainer_->current().updates();
  state_.runs = trainer_->current().runs();
  state_.loss_scale = trainer_->current().loss_scale();
  state_.updates_at_scale = trainer_->current().updates_at_scale();
  state_.sums.skipped_steps += record.skipped;
  state_.batch = run.batch.index + 1;
  state_.bad_samples = run.bad_samples;
  const Clock::time_point now = Clock::now();
  record.seconds = std::chrono::duration<double>(now - std::exchange(last_step_, now)).count();
  record.waited = loader_->seconds_waited() - waited_;
  waited_ += record.waited;
  record.step = state_.steps();
  record.steps_an_epoch = state_.steps_an_epoch;
  record.step_in_epoch = steps_of(state_.batch);
  record.steps = all_steps();
  state_.sums.images += run.images;
  state_.sums.correct += record.correct;
  state_.sums.loss += record.loss * static_cast<double>(run.images);
  state_.sums.seconds += record.seconds;
  state_.sums.waited += record.waited;
  if (observer_.on_step) {
    const std::vector<double> norms = gradient_norms();
    record.gradient_norms = norms;
    observer_.on_step(record);
  }
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
