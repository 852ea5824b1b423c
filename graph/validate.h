// Checks a graph before it is planned: graphs are plain data, which any program may have made.
#pragma once

#include "caldera/graph.h"

namespace caldera {

// An error unless every id is in range, every node comes after what it reads and makes a value of
// its own, or none where it only updates, every shape is what its operator infers, updates are such
// parameters and states as the operator wants, and `weights` holds an f32 tensor of the right shape
// for every parameter, state and constant but those that start at zero. All that is wrong with
// weights is told at once.
Status validate(const Graph& graph, const Weights& weights);

}  // namespace caldera
