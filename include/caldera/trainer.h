// Training steps on a device: a training graph (caldera/autodiff.h) with its optimizer's states,
// run a batch at a time. What lies around a step, the data, the schedule and the checkpoints, is
// caldera/fit.h's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caldera/autodiff.h"
#include "caldera/device.h"
#include "caldera/result.h"
#include "caldera/session.h"

namespace caldera {

// Small gradients are lost in halves, so the loss is scaled up before the backward pass: down again
// when a gradient overflows, which skips the step, and up after so many steps without.
// (Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740; the figures are PyTorch's
// GradScaler's.)
struct LossScale {
  float initial = 65536;
  float growth = 2;
  int64_t growth_interval = 2000;  // Updates; 0: it never grows.
  float backoff = 0.5f;
  float most = 0x1p100f;
  float least = 1;  // A gradient that overflows at this scale is not the scale's fault.
};

struct TrainerOptions {
  TrainingSpec spec{};
  // kernels, tuned, tune, profile, submit_seconds. Of precision kFp16, where the device has it,
  // training is mixed: activations and their gradients, and the weights that kernels read, are
  // stored as halves; parameters, their gradients, moments, statistics, sums and the loss are f32.
  SessionOptions session{};
  LossScale loss_scale{};  // Of mixed training; else 1.
  uint64_t seed = 0;       // Of dropout; its lowest 24 bits count.
};

struct StepResult {
  double loss = 0;           // Of the batch: what the targets weigh.
  double gradient_norm = 0;  // Of all gradients added since the last update, before clipping.
  // A gradient was infinite or no number: no parameter or moment was updated. Running statistics
  // were, as in PyTorch: they may be no numbers either, if the images were none.
  bool skipped = false;
  // It may have been the loss scale's doing, which is smaller now: the next step may be fine.
  bool rescaled = false;
};

class Trainer {
 public:
  // `forward`: as for inference, of one input and one output, logits [N, classes]. `weights`: what
  // it needs; moments that an earlier training left may be among them (state_name()).
  static Result<Trainer> create(const Device& device, const Graph& forward, const Weights& weights,
                                const TrainerOptions& options);
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;
  ~Trainer();

  // Forward, backward and one update. images: the graph's input, [N, C, H, W]. targets:
  // [N, classes], weighed so that their sum is the loss wanted (make_targets() divides by N).
  Result<StepResult> step(std::span<const float> images, std::span<const float> targets,
                          float learning_rate);
  // The same without the update: its gradients count in the next step(). A batch in parts gives
  // what the whole gives, to rounding, as long as batch-norm is frozen and each part's targets are
  // divided by the whole batch.
  Result<StepResult> accumulate(std::span<const float> images, std::span<const float> targets);

  // The same in three parts, by which the device goes from step to step without waiting for the
  // host (with SessionOptions::frames_in_flight of 2 or more):
  //
  //   begin(1) commit(1)   begin(2) wait(1) commit(2)   begin(3) wait(2) commit(3)   ...   wait(n)
  //
  // begin() copies the batch and starts its forward pass, which changes nothing. commit() starts
  // what does, the rest of step() or, without `apply`, of accumulate(). It takes the loss scale and
  // the count of updates from the step before, so that it comes after that one's wait(): meanwhile
  // the device is busy with what was begun. A step therefore gives the bits that step() gives, and
  // whoever stops between wait() and commit() has the states of the step that was waited for.
  Status begin(std::span<const float> images, std::span<const float> targets);
  // With SessionOptions::pixels. The images are free to be written again after wait().
  Status begin(const Pixels& images, std::span<const float> targets);
  Status commit(float learning_rate, bool apply);
  Result<StepResult> wait();
  // Gives up a batch that was begun, in place of commit().
  Status cancel();

  // A trainer of the same states for batches of another size, as the last of an epoch is: also
  // counts, loss scale and, where it is large enough, the memory of activations are this trainer's.
  // The two are used in turns, where one begins, the other may be under way. `weights`: for what
  // training leaves as it is.
  Result<Trainer> with_batch(const Graph& forward, const Weights& weights) const;

  // Of the last step or accumulate().
  std::span<const float> logits() const;
  // Norms by parameter, in the order of parameters().
  std::vector<double> gradient_norms() const;
  const std::vector<std::string>& parameters() const;

  // Everything that steps change, by name: parameters, running statistics, moments, gradients.
  Result<Weights> states() const;
  Status set_states(const Weights& states);  // An error while a step is begun or under way.
  // Updates so far: Adam's t is one more. To go on from a checkpoint, it is set with its states.
  int64_t updates() const;
  void set_updates(int64_t updates);
  // Steps and accumulations so far: dropout's random numbers follow from it.
  int64_t runs() const;
  void set_runs(int64_t runs);

  // That the next step takes, and for how many updates it has stood: its growth follows from that.
  // 1 and 0 unless training is mixed, whatever is set.
  float loss_scale() const;
  int64_t updates_at_scale() const;
  void set_loss_scale(float scale, int64_t updates_at_scale = 0);

  const Session& session() const;

 private:
  struct Impl;
  explicit Trainer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a training step takes, as it is planned for a device.
struct StepCost {
  Checkpointing checkpointing = Checkpointing::kNone;
  uint64_t arena_bytes = 0;    // Device memory for activations.
  uint64_t states_bytes = 0;   // Parameters, gradients, moments and running statistics.
  uint64_t weights_bytes = 0;  // Parameters that training leaves as they are.
  int64_t multiply_adds = 0;
  uint64_t moved_bytes = 0;  // That its dispatches bind: what a perfect cache would move.
  bool fits = false;         // In the memory that is free on the device now.
};

// What steps of such a trainer would take by each Checkpointing, in the enum's order: as planned,
// so nothing is allocated or run. `options` chooses all but the checkpointing. `last`: the forward
// graph of an epoch's last, smaller batch, for which Trainer::with_batch() makes a trainer: what
// that takes beside the first counts to the bytes and to `fits`.
Result<std::vector<StepCost>> plan_steps(const Device& device, const Graph& forward,
                                         const Weights& weights, const TrainerOptions& options,
                                         const Graph* last = nullptr);

}  // namespace caldera
