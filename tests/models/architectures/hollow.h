// Checkpoints with names and shapes and no memory to speak of: what inference, renaming and
// binding look at, for nets of half a gigabyte.
#pragma once

#include <functional>
#include <string>

#include "caldera/checkpoint.h"
#include "caldera/graph.h"

namespace caldera::test {

// Zeros that no page stands behind until they are read.
Tensor hollow_tensor(Shape shape, DType dtype = DType::kF32);

// Every parameter and state that the graph wants weights for.
Weights hollow_weights(const Graph& graph);

// Every parameter and state of the graph, as a state_dict holds them: with num_batches_tracked.
Checkpoint hollow_checkpoint(const Graph& graph);

// The same with every name passed through `rename`.
Checkpoint renamed(Checkpoint checkpoint, const std::function<std::string(std::string)>& rename);

// The names in order.
std::vector<std::string> names_of(const Checkpoint& checkpoint);

}  // namespace caldera::test
