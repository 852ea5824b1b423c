// The graph on the CPU, by loops that are obviously right: what device results are held against,
// in the tests and by `caldera verify`. Sums are in double; slow on purpose.
#pragma once

#include <vector>

#include "caldera/graph.h"
#include "caldera/result.h"
#include "caldera/tensor.h"

namespace caldera {

// Dense float32 activations by value, [N, C, H, W] or [N, F]; empty for values not computed.
// Parameters and states are here only where nodes change them, or they start at zero.
struct ReferenceValues {
  std::vector<std::vector<float>> values;  // By ValueId.
  const std::vector<float>& operator[](ValueId id) const {
    return values[static_cast<uint32_t>(id)];
  }
};

// Computes one node's first output from its inputs' values. Parameters and states come from
// `weights` unless `values` holds them. What the node updates stays as it was.
std::vector<float> reference_node(const Graph& graph, const Node& node, const Weights& weights,
                                  const ReferenceValues& values);

// Every activation of the graph, and after its last node every value that a node updates. An error
// where weights are missing or inputs misshapen.
Result<ReferenceValues> run_reference(const Graph& graph, const Weights& weights,
                                      const std::vector<std::vector<float>>& inputs);

// ||a - b|| / ||b||, in double; infinity where a holds a NaN that b does not. Sizes must agree.
double relative_l2(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace caldera
