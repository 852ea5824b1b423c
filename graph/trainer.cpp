// A session of a training graph, and the scalars of each step.
#include "caldera/trainer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "graph/session_impl.h"

namespace caldera {

namespace {

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
}

// Whole numbers that a float holds.
float small_number(uint64_t value) {
  return static_cast<float>(value & 0xffffff);
}

// Where memory is too little: the first checkpointing that would do.
Error with_advice(Error error, const Device& device, const Graph& forward, const Weights& weights,
                  const TrainerOptions& options) {
  if (error.code != ErrorCode::kOutOfMemory) return error;
  const auto costs = plan_steps(device, forward, weights, options);
  if (!costs.ok()) return error;
  for (const StepCost& cost : *costs) {
    if (!cost.fits || cost.checkpointing <= options.spec.checkpointing) continue;
    error.message += fmt::format("; with checkpointing '{}' this batch would fit",
                                 checkpointing_name(cost.checkpointing));
    break;
  }
  return error;
}

}  // namespace

// What trainers of the same states share.
struct Progress {
  int64_t updates = 0;
  int64_t runs = 0;
  float loss_scale = 1;
  int64_t updates_at_scale = 0;
  // By whom, if by one of them.
  const void* begun = nullptr;
  const void* under_way = nullptr;
};

struct Trainer::Impl {
  Impl(Session of, std::vector<std::string> trained, const TrainerOptions& by,
       std::shared_ptr<Progress> shared)
      : session(std::move(of)),
        parameters(std::move(trained)),
        options(by),
        progress(std::move(shared)) {}
  ~Impl() {
    if (progress->begun == this) progress->begun = nullptr;
    if (progress->under_way == this) progress->under_way = nullptr;
  }

  Session session;
  std::vector<std::string> parameters;
  TrainerOptions options;
  std::shared_ptr<Progress> progress;
  std::vector<float> loss, logits, norms;
  std::array<float, kScalarCount> scalars{};
  bool applies = false;  // What is under way.

  SessionImpl& impl() { return SessionAccess::impl(session); }

  void set(ScalarSlot slot, double value) {
    scalars[static_cast<size_t>(slot)] = static_cast<float>(value);
  }

  // Before the step before has told its result, nothing is known but what dropout needs.
  template <typename Begin>
  Status begin(Begin begin_session) {
    if (progress->begun) return invalid("a batch was begun: commit() or cancel() it first");
    set(ScalarSlot::kSeed, small_number(options.seed));
    set(ScalarSlot::kStep, small_number(static_cast<uint64_t>(progress->runs)));
    CALDERA_TRY(begin_session());
    progress->begun = this;
    return {};
  }

  Status begin(std::span<const float> images, std::span<const float> targets) {
    return begin([&] {
      const std::array<std::span<const float>, 3> inputs{images, targets, scalars};
      return impl().begin(inputs);
    });
  }

  Status begin(const Pixels& images, std::span<const float> targets) {
    return begin([&] {
      const std::array<std::span<const float>, 2> others{targets, scalars};
      return impl().begin(images, others);
    });
  }

  Status commit(float learning_rate, bool apply) {
    if (progress->under_way) return invalid("a step is under way: wait() for it first");
    const OptimizerAttrs& optimizer = options.spec.optimizer;
    const auto t = static_cast<double>(progress->updates + 1);
    set(ScalarSlot::kLearningRate, learning_rate);
    set(ScalarSlot::kApply, apply);
    set(ScalarSlot::kLossScale, progress->loss_scale);
    set(ScalarSlot::kBiasCorrection1, 1 - std::pow(double{optimizer.beta1}, t));
    set(ScalarSlot::kBiasCorrection2, 1 - std::pow(double{optimizer.beta2}, t));
    set(ScalarSlot::kStatisticsShare, 1 / static_cast<double>(progress->runs + 1));
    CALDERA_TRY(impl().commit(scalars));
    progress->begun = nullptr;
    progress->under_way = this;
    applies = apply;
    ++progress->runs;
    return {};
  }

  Result<StepResult> wait() {
    const std::array<std::span<float>, 3> outputs{loss, logits, norms};
    const Status done = impl().wait(outputs);
    if (progress->under_way == this) progress->under_way = nullptr;
    if (!done.ok()) return done.error();
    StepResult result;
    result.loss = std::accumulate(loss.begin(), loss.end(), 0.0);
    result.gradient_norm = std::sqrt(double{norms[0]});
    result.skipped = !std::isfinite(norms[0]);
    if (applies && !result.skipped) ++progress->updates;
    if (applies && mixed()) result.rescaled = rescale(result.skipped);
    return result;
  }

  Status cancel() {
    if (progress->begun == this) progress->begun = nullptr;
    return impl().cancel();
  }

  Result<StepResult> run(std::span<const float> images, std::span<const float> targets,
                         float learning_rate, bool apply) {
    if (progress->under_way) return invalid("a step is under way: wait() for it first");
    CALDERA_TRY(begin(images, targets));
    CALDERA_TRY(commit(learning_rate, apply));
    return wait();
  }

  bool mixed() const { return session.precision() == Precision::kFp16; }

  // Whether the scale went down.
  bool rescale(bool overflowed) {
    const LossScale& scaling = options.loss_scale;
    if (overflowed) {
      progress->updates_at_scale = 0;
      const float smaller = std::max(progress->loss_scale * scaling.backoff, scaling.least);
      return std::exchange(progress->loss_scale, smaller) > smaller;
    }
    if (++progress->updates_at_scale == scaling.growth_interval) {
      progress->updates_at_scale = 0;
      progress->loss_scale = std::min(progress->loss_scale * scaling.growth, scaling.most);
    }
    return false;
  }

  // `beside`: a trainer of the same states.
  static Result<std::unique_ptr<Impl>> create(const Device& device, const Graph& forward,
                                              const Weights& weights, const TrainerOptions& options,
                                              const Impl* beside) {
    if (forward.inputs.size() != 1) return invalid("training needs a graph of one input");
    CALDERA_TRY_ASSIGN(TrainingGraph training, make_training_graph(forward, options.spec));
    const auto make = [&] {
      return beside
                 ? create_session_beside(beside->session, training.graph, weights, options.session)
                 : Session::create(device, training.graph, weights, options.session);
    };
    CALDERA_TRY_ASSIGN(Session session, make());
    auto impl = std::make_unique<Impl>(std::move(session), std::move(training.parameters), options,
                                       beside ? beside->progress : std::make_shared<Progress>());
    const auto size_of = [&](size_t output) {
      return static_cast<size_t>(
          element_count(training.graph.value(training.graph.outputs[output]).shape));
    };
    impl->loss.resize(size_of(0));
    impl->logits.resize(size_of(1));
    impl->norms.resize(size_of(2));
    return impl;
  }
};

Result<Trainer> Trainer::create(const Device& device, const Graph& forward, const Weights& weights,
                                const TrainerOptions& options) {
  return detail::no_throw<Result<Trainer>>("the trainer", [&]() -> Result<Trainer> {
    const LossScale& scale = options.loss_scale;
    if (!(scale.least > 0 && scale.least <= scale.initial && scale.initial <= scale.most &&
          std::isfinite(scale.most) && scale.growth >= 1 && scale.backoff > 0 &&
          scale.backoff < 1)) {
      return invalid(
          "a loss scale lies from least to most, above 0, grows by 1 or more and backs off "
          "by less than 1");
    }
    auto impl = Impl::create(device, forward, weights, options, nullptr);
    if (!impl.ok()) return with_advice(impl.error(), device, forward, weights, options);
    if ((*impl)->mixed()) (*impl)->progress->loss_scale = options.loss_scale.initial;
    return Trainer(*std::move(impl));
  });
}

Result<Trainer> Trainer::with_batch(const Graph& forward, const Weights& weights) const {
  return detail::no_throw<Result<Trainer>>("the trainer", [&]() -> Result<Trainer> {
    CALDERA_TRY_ASSIGN(auto impl, Impl::create(impl_->session.device(), forward, weights,
                                               impl_->options, impl_.get()));
    return Trainer(std::move(impl));
  });
}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

Result<StepResult> Trainer::step(std::span<const float> images, std::span<const float> targets,
                                 float learning_rate) {
  return detail::no_throw<Result<StepResult>>(
      "a step", [&] { return impl_->run(images, targets, learning_rate, /*apply=*/true); });
}

Result<StepResult> Trainer::accumulate(std::span<const float> images,
                                       std::span<const float> targets) {
  return detail::no_throw<Result<StepResult>>(
      "a step", [&] { return impl_->run(images, targets, 0, /*apply=*/false); });
}

Status Trainer::begin(std::span<const float> images, std::span<const float> targets) {
  return detail::no_throw<Status>("a step", [&] { return impl_->begin(images, targets); });
}

Status Trainer::begin(const Pixels& images, std::span<const float> targets) {
  return detail::no_throw<Status>("a step", [&] { return impl_->begin(images, targets); });
}

Status Trainer::commit(float learning_rate, bool apply) {
  return detail::no_throw<Status>("a step", [&] { return impl_->commit(learning_rate, apply); });
}

Result<StepResult> Trainer::wait() {
  return detail::no_throw<Result<StepResult>>("a step", [&] { return impl_->wait(); });
}

Status Trainer::cancel() {
  return detail::no_throw<Status>("a step", [&] { return impl_->cancel(); });
}

std::span<const float> Trainer::logits() const {
  return impl_->logits;
}

std::vector<double> Trainer::gradient_norms() const {
  std::vector<double> norms;
  for (const float square : std::span(impl_->norms).subspan(1)) {
    norms.push_back(std::sqrt(double{square}));
  }
  return norms;
}

const std::vector<std::string>& Trainer::parameters() const {
  return impl_->parameters;
}
Result<Weights> Trainer::states() const {
  return impl_->session.states();
}
Status Trainer::set_states(const Weights& states) {
  if (impl_->progress->begun || impl_->progress->under_way)
    return invalid("a step is under way: wait() for it, or cancel() it, before set_states()");
  return impl_->session.set_states(states);
}
int64_t Trainer::updates() const {
  return impl_->progress->updates;
}
void Trainer::set_updates(int64_t updates) {
  impl_->progress->updates = updates;
}
int64_t Trainer::runs() const {
  return impl_->progress->runs;
}
void Trainer::set_runs(int64_t runs) {
  impl_->progress->runs = runs;
}
float Trainer::loss_scale() const {
  return impl_->progress->loss_scale;
}
int64_t Trainer::updates_at_scale() const {
  return impl_->progress->updates_at_scale;
}
void Trainer::set_loss_scale(float scale, int64_t updates_at_scale) {
  if (!impl_->mixed()) return;
  assert(scale > 0 && std::isfinite(scale));
  impl_->progress->loss_scale = scale;
  impl_->progress->updates_at_scale = updates_at_scale;
}
const Session& Trainer::session() const {
  return impl_->session;
}

}  // namespace caldera
