#include "tests/graph/small_blocks.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/align.h"
#include "graph/plan.h"
#include "graph/test_hooks.h"
#include "runtime/device_impl.h"

namespace caldera::test {

namespace {

using Floats = std::vector<float>;

// The outputs of one run.
std::vector<Floats> run_poisoned(Session& session, const std::vector<Floats>& inputs) {
  const Graph& graph = session.graph();
  std::vector<Floats> outputs;
  for (const ValueId id : graph.outputs) {
    outputs.emplace_back(static_cast<size_t>(element_count(graph.value(id).shape)),
                         std::numeric_limits<float>::quiet_NaN());
  }
  EXPECT_TRUE(poison_memory(session).ok());
  const std::vector<std::span<const float>> from(inputs.begin(), inputs.end());
  const std::vector<std::span<float>> to(outputs.begin(), outputs.end());
  const Status ran = session.run(from, to);
  EXPECT_TRUE(ran.ok()) << ran.error().message;
  return outputs;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

Capabilities with_small_blocks(const Device& device, const Graph& graph, const Weights& weights,
                               const SessionOptions& options, uint64_t least) {
  Capabilities limits = device.impl().capabilities();
  const Plan plan =
      make_plan(limits, device.info().name, graph, weights, options, device.impl().tuning().read())
          .value();
  uint64_t largest = least;
  const auto take = [&](uint64_t bytes, uint64_t multiple) {
    largest = std::max(largest, round_up(bytes, multiple));
  };
  for (const Lifetime& lifetime : plan.memory.lifetimes) {
    if (lifetime.used()) take(lifetime.bytes, limits.binding_alignment());
  }
  for (const PackedWeight& weight : plan.weights) take(weight.bytes, limits.binding_alignment());
  for (size_t i = 0; i < plan.graph.values.size(); ++i) {
    if (!plan.states.holds(static_cast<ValueId>(i))) continue;
    take(state_bytes(plan.graph.values[i].shape), kStatePieceBytes);
  }
  limits.max_allocation_size = largest;
  // Large blocks are whole units of some size.
  if (limits.max_block_bytes() < largest) limits.max_allocation_size = round_up(largest, 65536);
  EXPECT_GE(limits.max_block_bytes(), largest);
  return limits;
}

void expect_small_blocks(const Session& session, const Capabilities& limits) {
  using testing::Each;
  using testing::Le;
  const SessionStats stats = session.stats();
  const auto within = Each(Le(limits.max_block_bytes()));
  EXPECT_THAT(stats.weights_blocks, within);
  EXPECT_THAT(stats.states_blocks, within);
  EXPECT_THAT(stats.arena_blocks, within);
  EXPECT_GT(stats.arena_blocks.size(), 1u);
}

SessionStats expect_same_bits_in_small_blocks(const Device& device, const Graph& graph,
                                              const Weights& weights,
                                              const std::vector<Floats>& inputs,
                                              const SessionOptions& options, uint64_t least) {
  const Capabilities limits = with_small_blocks(device, graph, weights, options, least);
  auto whole = Session::create(device, graph, weights, options);
  auto small = create_session_within(limits, device, graph, weights, options);
  if (!whole.ok() || !small.ok()) {
    ADD_FAILURE() << (whole.ok() ? small : whole).error().message;
    return {};
  }
  EXPECT_EQ(whole->stats().arena_blocks.size(), 1u);
  expect_small_blocks(*small, limits);
  EXPECT_EQ(small->kernels(), whole->kernels());
  for (int run = 0; run < 3; ++run) {
    const std::vector<Floats> expected = run_poisoned(*whole, inputs);
    const std::vector<Floats> outputs = run_poisoned(*small, inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_TRUE(same_bits(outputs[i], expected[i])) << "output " << i << " of run " << run;
    }
  }
  const Weights expected = whole->states().value();
  const Weights states = small->states().value();
  EXPECT_EQ(states.size(), expected.size());
  for (const auto& [name, tensor] : states) {
    EXPECT_TRUE(same_bits(tensor.floats(), expected.at(name).floats())) << name;
  }
  return small->stats();
}

}  // namespace caldera::test
