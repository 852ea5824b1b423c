// Checks a graph before it is planned: graphs are plain data, which any program may have made.
#pragma once

#include "caldera/graph.h"

namespace caldera {

// An error unless every id is in range, every node comes after what it reads and makes a value of
// its own, every shape is what its operator infers, and `weights` holds an f32 tensor of the right
// shape for every parameter, state and constant. All that is wrong with weights is told at once.
Status validate(const Graph& graph, const Weights& weights);

}  // namespace caldera
