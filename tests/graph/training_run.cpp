#include "tests/graph/training_run.h"

#include <cmath>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "graph/test_hooks.h"
#include "tests/support/same_bits.h"

namespace caldera::test {

namespace {

using Floats = std::vector<float>;

}  // namespace

ExpectedStep::ExpectedStep(const Graph& graph, const Weights& weights, std::vector<Floats> inputs)
    : graph_(graph),
      weights_(weights),
      inputs_(std::move(inputs)),
      expected_(run_reference(graph, weights, inputs_)) {}

std::vector<std::string> ExpectedStep::expect_same(const Device& device,
                                                   const SessionOptions& options, double tolerance,
                                                   int runs, const Capabilities* limits) const {
  auto session = limits ? create_session_within(*limits, device, graph_, weights_, options)
                        : Session::create(device, graph_, weights_, options);
  if (!session.ok() || !expected_.ok()) {
    ADD_FAILURE() << (session.ok() ? expected_.error().message : session.error().message);
    return {};
  }
  // What starts at zero is set to zero again before each run.
  Weights initial = weights_;
  for (const Value& value : graph_.values) {
    if (!value.starts_at_zero || initial.contains(value.name)) continue;
    initial[value.name] = Tensor::from_floats(
        value.shape, Floats(static_cast<size_t>(element_count(value.shape)), 0.0f));
  }
  std::map<std::string, Floats> first;
  const auto check = [&](const std::string& name, const Floats& values, const Floats& reference,
                         int run) {
    if (run == 0) {
      EXPECT_LE(relative_l2(values, reference), tolerance) << name;
      first[name] = values;
    } else {
      EXPECT_TRUE(same_bits(values, first[name])) << name << " differs in run " << run;
    }
  };
  const std::vector<std::span<const float>> from(inputs_.begin(), inputs_.end());
  for (int run = 0; run < runs && !testing::Test::HasFailure(); ++run) {
    std::vector<Floats> outputs;
    for (const ValueId id : graph_.outputs) {
      outputs.emplace_back(static_cast<size_t>(element_count(graph_.value(id).shape)),
                           std::numeric_limits<float>::quiet_NaN());
    }
    const std::vector<std::span<float>> to(outputs.begin(), outputs.end());
    EXPECT_TRUE(session->set_states(initial).ok() && poison_memory(*session).ok());
    const Status ran = session->run(from, to);
    EXPECT_TRUE(ran.ok()) << ran.error().message;
    for (size_t i = 0; i < outputs.size(); ++i) {
      check("output " + std::to_string(i), outputs[i], (*expected_)[graph_.outputs[i]], run);
    }
    const auto states = session->states();
    EXPECT_TRUE(states.ok());
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const auto found = states->find(graph_.values[i].name);
      if (found == states->end()) continue;
      const auto values = found->second.floats();
      check(found->first, {values.begin(), values.end()}, (*expected_)[static_cast<ValueId>(i)],
            run);
    }
  }
  return testing::Test::HasFailure() ? std::vector<std::string>{} : session->kernels();
}

std::vector<float> step_scalars(int64_t step) {
  std::vector<float> values(kScalarCount);
  const auto set = [&](ScalarSlot slot, double value) {
    values[static_cast<size_t>(slot)] = static_cast<float>(value);
  };
  set(ScalarSlot::kLearningRate, 0.1);
  set(ScalarSlot::kApply, 1);
  set(ScalarSlot::kLossScale, 1);
  set(ScalarSlot::kBiasCorrection1, 1 - std::pow(0.9, step));
  set(ScalarSlot::kBiasCorrection2, 1 - std::pow(0.999, step));
  set(ScalarSlot::kStatisticsShare, 1.0 / static_cast<double>(step));
  set(ScalarSlot::kSeed, 17);
  set(ScalarSlot::kStep, static_cast<double>(step));
  return values;
}

std::vector<float> one_hot_targets(const Shape& shape) {
  std::vector<float> targets(static_cast<size_t>(element_count(shape)));
  for (int64_t n = 0; n < shape[0]; ++n) {
    targets[static_cast<size_t>(n * shape[1] + n % shape[1])] = 1.0f / static_cast<float>(shape[0]);
  }
  return targets;
}

}  // namespace caldera::test
