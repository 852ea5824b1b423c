// A session of a training graph, and the scalars of each step.
#include "caldera/trainer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace caldera {

namespace {

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

struct Trainer::Impl {
  Session session;
  std::vector<std::string> parameters;
  OptimizerAttrs optimizer;
  LossScale scaling;
  uint64_t seed = 0;
  float loss_scale = 1;
  int64_t updates_at_scale = 0;
  int64_t updates = 0;
  int64_t runs = 0;
  std::vector<float> loss, logits, norms;
  std::array<float, kScalarCount> scalars{};

  void set(ScalarSlot slot, double value) {
    scalars[static_cast<size_t>(slot)] = static_cast<float>(value);
  }

  Result<StepResult> run(std::span<const float> images, std::span<const float> targets,
                         float learning_rate, bool apply) {
    const auto t = static_cast<double>(updates + 1);
    set(ScalarSlot::kLearningRate, learning_rate);
    set(ScalarSlot::kApply, apply);
    set(ScalarSlot::kLossScale, loss_scale);
    set(ScalarSlot::kBiasCorrection1, 1 - std::pow(double{optimizer.beta1}, t));
    set(ScalarSlot::kBiasCorrection2, 1 - std::pow(double{optimizer.beta2}, t));
    set(ScalarSlot::kStatisticsShare, 1 / static_cast<double>(runs + 1));
    set(ScalarSlot::kSeed, small_number(seed));
    set(ScalarSlot::kStep, small_number(static_cast<uint64_t>(runs)));
    const std::array<std::span<const float>, 3> inputs{images, targets, scalars};
    const std::array<std::span<float>, 3> outputs{loss, logits, norms};
    CALDERA_TRY(session.run(inputs, outputs));
    ++runs;
    StepResult result;
    result.loss = std::accumulate(loss.begin(), loss.end(), 0.0);
    result.gradient_norm = std::sqrt(double{norms[0]});
    result.skipped = !std::isfinite(norms[0]);
    if (apply && !result.skipped) ++updates;
    if (apply && mixed()) result.rescaled = rescale(result.skipped);
    return result;
  }

  bool mixed() const { return session.precision() == Precision::kFp16; }

  // Whether the scale went down.
  bool rescale(bool overflowed) {
    if (overflowed) {
      updates_at_scale = 0;
      const float smaller = std::max(loss_scale * scaling.backoff, scaling.least);
      return std::exchange(loss_scale, smaller) > smaller;
    }
    if (++updates_at_scale == scaling.growth_interval) {
      updates_at_scale = 0;
      loss_scale = std::min(loss_scale * scaling.growth, scaling.most);
    }
    return false;
  }
};

Result<Trainer> Trainer::create(const Device& device, const Graph& forward, const Weights& weights,
                                const TrainerOptions& options) {
  return detail::no_throw<Result<Trainer>>("the trainer", [&]() -> Result<Trainer> {
    if (forward.inputs.size() != 1) {
      return Error{ErrorCode::kInvalidInput, "training needs a graph of one input"};
    }
    const LossScale& scale = options.loss_scale;
    if (!(scale.least > 0 && scale.least <= scale.initial && scale.initial <= scale.most &&
          std::isfinite(scale.most) && scale.growth >= 1 && scale.backoff > 0 &&
          scale.backoff < 1)) {
      return Error{
          ErrorCode::kInvalidInput,
          "a loss scale lies from least to most, above 0, grows by 1 or more and backs off "
          "by less than 1"};
    }
    CALDERA_TRY_ASSIGN(TrainingGraph training, make_training_graph(forward, options.spec));
    Result<Session> session = Session::create(device, training.graph, weights, options.session);
    if (!session.ok()) return with_advice(session.error(), device, forward, weights, options);
    auto impl =
        std::make_unique<Impl>(Impl{std::move(*session), std::move(training.parameters),
                                    options.spec.optimizer, options.loss_scale, options.seed});
    if (impl->mixed()) impl->loss_scale = options.loss_scale.initial;
    const auto size_of = [&](size_t output) {
      return static_cast<size_t>(
          element_count(training.graph.value(training.graph.outputs[output]).shape));
    };
    impl->loss.resize(size_of(0));
    impl->logits.resize(size_of(1));
    impl->norms.resize(size_of(2));
    return Trainer(std::move(impl));
  });
}

Trainer::Trainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;
Trainer::~Trainer() = default;

Result<StepResult> Trainer::step(std::span<const float> images, std::span<const float> targets,
                                 float learning_rate) {
  return impl_->run(images, targets, learning_rate, /*apply=*/true);
}

Result<StepResult> Trainer::accumulate(std::span<const float> images,
                                       std::span<const float> targets) {
  return impl_->run(images, targets, 0, /*apply=*/false);
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
  return impl_->session.set_states(states);
}
int64_t Trainer::updates() const {
  return impl_->updates;
}
void Trainer::set_updates(int64_t updates) {
  impl_->updates = updates;
}
int64_t Trainer::runs() const {
  return impl_->runs;
}
void Trainer::set_runs(int64_t runs) {
  impl_->runs = runs;
}
float Trainer::loss_scale() const {
  return impl_->loss_scale;
}
int64_t Trainer::updates_at_scale() const {
  return impl_->updates_at_scale;
}
void Trainer::set_loss_scale(float scale, int64_t updates_at_scale) {
  if (!impl_->mixed()) return;
  assert(scale > 0 && std::isfinite(scale));
  impl_->loss_scale = scale;
  impl_->updates_at_scale = updates_at_scale;
}
const Session& Trainer::session() const {
  return impl_->session;
}

}  // namespace caldera
