// Whole networks trained on a device from the checkpoint and with the batches that PyTorch was
// given (reference_training.py): its losses, first gradients and last states.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <gtest/gtest.h>

#include "caldera/reference.h"

#include "tests/models/training/reference_run.h"
#include "tests/support/device.h"
#include "tests/support/require.h"
#include "tests/support/same_bits.h"

namespace caldera::test {
namespace {

// The run's network for one part of a batch, ready for its first step.
Result<Trainer> make_trainer(const Device& device, const ReferenceRun& run) {
  const Graph graph = build_graph(run.architecture, run.batch / run.parts, run.size).value();
  return Trainer::create(device, graph, run.weights, run.options);
}

template <typename T>
std::span<const T> part_of(std::span<const T> whole, int64_t part, int64_t parts) {
  const size_t each = whole.size() / static_cast<size_t>(parts);
  return whole.subspan(static_cast<size_t>(part) * each, each);
}

// Gives a batch in the run's parts, and the last of them by step() if `apply`.
Result<double> give_batch(Trainer& trainer, const ReferenceRun& run, size_t step, bool apply) {
  CALDERA_TRY_ASSIGN(const Tensor targets,
                     make_targets(run.labels[step], run.architecture.classes, run.targets));
  double loss = 0;
  for (int64_t part = 0; part < run.parts; ++part) {
    const auto images = part_of(std::span<const float>(run.images[step]), part, run.parts);
    const auto wanted = part_of(targets.floats(), part, run.parts);
    const bool last = apply && part == run.parts - 1;
    CALDERA_TRY_ASSIGN(const StepResult result, last ? trainer.step(images, wanted, run.rate)
                                                     : trainer.accumulate(images, wanted));
    EXPECT_FALSE(result.skipped);
    loss += result.loss;
  }
  return loss;
}

struct Worst {
  double error = 0;
  std::string name = "none";
  void see(const std::string& seen, double value) {
    if (value <= error) return;
    error = value;
    name = seen;
  }
};

// Holds what is `found` of each tensor `expected`, by kind: weights, running statistics, moments.
std::map<std::string, Worst> compare(const Weights& found, const Weights& expected, double bound) {
  std::map<std::string, Worst> worst;
  for (const auto& [name, tensor] : expected) {
    const auto at = found.find(name);
    if (at == found.end()) {
      ADD_FAILURE() << "no state " << name;
      continue;
    }
    const double error = relative_l2({at->second.floats().begin(), at->second.floats().end()},
                                     {tensor.floats().begin(), tensor.floats().end()});
    EXPECT_LE(error, bound) << name;
    const std::string last = name.substr(name.rfind('.') + 1);
    const bool weight = last == "weight" || last == "bias";
    worst[weight ? "weights" : last].see(name, error);
  }
  return worst;
}

void tell(const std::map<std::string, Worst>& worst) {
  for (const auto& [kind, most] : worst) {
    std::printf("  %-16s %.1e at most (%s)\n", kind.c_str(), most.error, most.name.c_str());
  }
}

#ifdef CALDERA_TEST_WHOLE_TRAINING
constexpr int64_t kMostMultiplyAdds = 25'000'000'000;
#else
constexpr int64_t kMostMultiplyAdds = 5'000'000'000;
#endif

// SwiftShader, with subgroups of four, makes a few GFLOP/s, the others tens.
bool affordable(const Device& device, const ReferenceRun& run) {
  const Graph graph = build_graph(run.architecture, run.batch, run.size).value();
  const auto steps = static_cast<int64_t>(run.losses.size());
  return device.info().subgroup_size >= 8 || 3 * steps * multiply_adds(graph) < kMostMultiplyAdds;
}

class NetworkTraining : public testing::TestWithParam<const char*> {};

#define REQUIRE_AFFORDABLE(device, run)                            \
  if (!affordable(device, run))                                    \
  CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_subgroups_of_eight(), \
                            "would take minutes on this driver")

TEST_P(NetworkTraining, IsPyTorchs) {
  CALDERA_REQUIRE_DEVICE(device);
  REQUIRE_RUNS()
  const ReferenceRun run = read_reference_run(GetParam());
  REQUIRE_AFFORDABLE(device, run);
  auto trainer = make_trainer(device, run);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;

  // The first step's gradients, by a step that does not update; then all as it was.
  const Weights before = trainer->states().value();
  ASSERT_TRUE(trainer->set_states(run.biases[0]).ok());
  const auto first = give_batch(*trainer, run, 0, /*apply=*/false);
  ASSERT_TRUE(first.ok()) << first.error().message;
  tell(compare(trainer->states().value(), run.gradients, run.gradient_bound));
  ASSERT_TRUE(trainer->set_states(before).ok());
  trainer->set_runs(0);

  Worst loss;
  for (size_t step = 0; step < run.losses.size(); ++step) {
    ASSERT_TRUE(trainer->set_states(run.biases[step]).ok());
    const auto found = give_batch(*trainer, run, step, /*apply=*/true);
    ASSERT_TRUE(found.ok()) << found.error().message;
    const double error = std::abs(*found - run.losses[step]) / std::abs(run.losses[step]);
    EXPECT_LE(error, run.loss_bound) << "step " << step << ": " << *found;
    loss.see("step " + std::to_string(step), error);
  }
  EXPECT_EQ(trainer->updates(), static_cast<int64_t>(run.losses.size()));
  tell({{"loss", loss}});
  tell(compare(trainer->states().value(), run.states, run.state_bound));
}

std::string name_of(const testing::TestParamInfo<const char*>& test) {
  return test.param;
}
INSTANTIATE_TEST_SUITE_P(Runs, NetworkTraining,
                         testing::Values("cifar_resnet20", "frozen_batch_norm", "frozen_trunk",
                                         "nesterov", "adam", "adamw", "smoothing_and_class_weights",
                                         "accumulation", "clipping"),
                         name_of);
#ifdef CALDERA_TEST_WHOLE_TRAINING
INSTANTIATE_TEST_SUITE_P(LargeRuns, NetworkTraining,
                         testing::Values("resnet18", "resnet18_few_steps", "resnet50",
                                         "resnet50_few_steps"),
                         name_of);
#endif

// Only the head is trained: nothing else can change, has a gradient or costs a dispatch backward.
TEST(FrozenTrunk, KeepsItsBitsAndCostsNothingBackward) {
  CALDERA_REQUIRE_DEVICE(device);
  REQUIRE_RUNS()
  const ReferenceRun run = read_reference_run("frozen_trunk");
  REQUIRE_AFFORDABLE(device, run);
  auto trainer = make_trainer(device, run);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  const Weights before = trainer->states().value();
  for (const auto& [name, tensor] : before) {
    EXPECT_TRUE(name.starts_with(run.trained)) << name << " would change";
  }
  ASSERT_TRUE(give_batch(*trainer, run, 0, /*apply=*/false).ok());
  const std::vector<float> logits(trainer->logits().begin(), trainer->logits().end());
  ASSERT_TRUE(trainer->set_states(before).ok());

  for (size_t step = 0; step < run.losses.size(); ++step) {
    ASSERT_TRUE(give_batch(*trainer, run, step, /*apply=*/true).ok());
  }
  ASSERT_TRUE(give_batch(*trainer, run, 0, /*apply=*/false).ok());
  EXPECT_FALSE(same_bits(trainer->logits(), logits)) << "the head was not trained";
  // The trunk's weights are not among the states; what it makes of an image tells of them.
  ASSERT_TRUE(trainer->set_states(before).ok());
  ASSERT_TRUE(give_batch(*trainer, run, 0, /*apply=*/false).ok());
  EXPECT_TRUE(same_bits(trainer->logits(), logits));
  const auto weights = trainer->session().weights();
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  for (const auto& [name, tensor] : *weights) {
    const auto given = run.weights.find(name);
    if (given == run.weights.end() || name.starts_with(run.trained)) continue;
    EXPECT_TRUE(same_bits(tensor.floats(), given->second.floats())) << name;
  }

  ReferenceRun whole = run;
  whole.options.spec.trainable = nullptr;
  auto all = make_trainer(device, whole);
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_LT(2 * trainer->session().stats().dispatches, all->session().stats().dispatches);
}

}  // namespace
}  // namespace caldera::test
