// Rewrites of a graph that leave its function as it was, to rounding. Each is a free function;
// none looks at a device.
#pragma once

#include "caldera/graph.h"

namespace caldera {

// Puts each batch_norm that alone follows a conv2d into that convolution's weight and bias, which
// become new parameters in `weights`. In double precision.
void fold_batch_norm(Graph& graph, Weights& weights);

// Gives each conv2d, batch_norm and linear the residual add and the activation that alone follow
// it, and each add and multiply its activation.
void fuse_epilogues(Graph& graph);

// Shared by the passes.

// How many nodes and graph outputs read each value.
std::vector<int> count_uses(const Graph& graph);
// Drops the nodes marked, and sets Value::producer anew.
void remove_nodes(Graph& graph, const std::vector<bool>& removed);

}  // namespace caldera
