// A graph that changes values in place, on the device against the CPU: its outputs, and everything
// that it changed.
#pragma once

#include <vector>

#include "caldera/device.h"
#include "caldera/graph.h"
#include "caldera/reference.h"
#include "caldera/session.h"

#include "runtime/capabilities.h"

namespace caldera::test {

// What the CPU makes of a graph: computed once, since that takes longer than most devices do. The
// graph and the weights must outlive it.
class ExpectedStep {
 public:
  ExpectedStep(const Graph& graph, const Weights& weights, std::vector<std::vector<float>> inputs);

  // Runs the graph `runs` times from the same states, memory poisoned before each: every output
  // and every changed value within `tolerance` (relative L2) of the reference's, and the same bits
  // each time. `limits`: as if the device had these. Returns the kernels that ran, by node; empty
  // where a check failed.
  std::vector<std::string> expect_same(const Device& device, const SessionOptions& options,
                                       double tolerance, int runs,
                                       const Capabilities* limits = nullptr) const;

 private:
  const Graph& graph_;
  const Weights& weights_;
  std::vector<std::vector<float>> inputs_;
  Result<ReferenceValues> expected_;
};

// What a step is told: a learning rate of 0.1, an update, Adam's corrections for `step`.
std::vector<float> step_scalars(int64_t step);
// [N, classes]: one class an image, divided by N.
std::vector<float> one_hot_targets(const Shape& shape);

}  // namespace caldera::test
