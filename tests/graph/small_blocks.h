// Memory in small blocks: what a graph then gives, to the bit, is what it gives with all of its
// activations in one.
#pragma once

#include <cstdint>
#include <vector>

#include "caldera/device.h"
#include "caldera/graph.h"
#include "caldera/session.h"

#include "runtime/capabilities.h"

namespace caldera::test {

// Bytes of blocks that this session's arena is cut into; a value that is larger lies by itself.
uint64_t third_of_arena(const Session& session);

// What the device can, in blocks of `bytes`. Only a value that is larger gets one of its own,
// of more.
Capabilities with_blocks(const Device& device, uint64_t bytes);

// Runs the graph three times on end in one block of activations, and with all memory in blocks of
// `bytes` (0: a third of the arena), poisoned before each run: the same outputs and states. Returns
// what the one in small blocks takes.
SessionStats expect_same_bits_in_small_blocks(const Device& device, const Graph& graph,
                                              const Weights& weights,
                                              const std::vector<std::vector<float>>& inputs,
                                              const SessionOptions& options = {},
                                              uint64_t bytes = 0);

}  // namespace caldera::test
