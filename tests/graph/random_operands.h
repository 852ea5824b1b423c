// Random weights and inputs for any graph, by integer arithmetic alone: one seed gives the same
// bits with every compiler.
#pragma once

#include <cstdint>
#include <vector>

#include "caldera/graph.h"

namespace caldera::test {

// Uniform in [-1, 1); variances in [0.5, 1.5).
Weights random_weights(const Graph& graph, uint32_t seed = 1);
// Uniform in [-scale, scale), in the order of the graph's inputs.
std::vector<std::vector<float>> random_inputs(const Graph& graph, uint32_t seed = 2,
                                              float scale = 1);

}  // namespace caldera::test
