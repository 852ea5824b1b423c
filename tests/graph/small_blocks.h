// Memory in blocks as small as can be: what a graph then gives, to the bit, is what it gives with
// all of its memory in one.
#pragma once

#include <cstdint>
#include <vector>

#include "caldera/device.h"
#include "caldera/graph.h"
#include "caldera/session.h"

#include "runtime/capabilities.h"

namespace caldera::test {

// What the device can, in blocks no larger than the largest value of the graph's plan, or than
// `least`.
Capabilities with_small_blocks(const Device& device, const Graph& graph, const Weights& weights,
                               const SessionOptions& options = {}, uint64_t least = 0);

// The blocks of a session for such capabilities: within the limit, and several for activations.
void expect_small_blocks(const Session& session, const Capabilities& limits);

// Runs the graph three times on end in one block each of weights, states and activations, and in
// small ones, memory poisoned before each run: the same outputs and states. Returns what the one in
// small blocks takes.
SessionStats expect_same_bits_in_small_blocks(const Device& device, const Graph& graph,
                                              const Weights& weights,
                                              const std::vector<std::vector<float>>& inputs,
                                              const SessionOptions& options = {},
                                              uint64_t least = 0);

}  // namespace caldera::test
