#include "tests/graph/small_blocks.h"

#include <limits>

#include <gtest/gtest.h>

#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/support/same_bits.h"

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

}  // namespace

uint64_t third_of_arena(const Session& session) {
  return session.stats().arena_lower_bound / 3;
}

Capabilities with_blocks(const Device& device, uint64_t bytes) {
  Capabilities limits = device.impl().capabilities();
  limits.max_allocation_size = bytes;
  return limits;
}

SessionStats expect_same_bits_in_small_blocks(const Device& device, const Graph& graph,
                                              const Weights& weights,
                                              const std::vector<Floats>& inputs,
                                              const SessionOptions& options, uint64_t bytes) {
  auto whole = Session::create(device, graph, weights, options);
  if (!whole.ok()) {
    ADD_FAILURE() << whole.error().message;
    return {};
  }
  EXPECT_EQ(whole->stats().arena_blocks.size(), 1u);
  if (bytes == 0) bytes = third_of_arena(*whole);
  auto small = create_session_within(with_blocks(device, bytes), device, graph, weights, options);
  if (!small.ok()) {
    ADD_FAILURE() << small.error().message;
    return {};
  }
  EXPECT_GT(small->stats().arena_blocks.size(), 1u);
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
