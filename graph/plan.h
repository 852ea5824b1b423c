// A graph made ready for one kind of device: fused, its kernels chosen, its dispatches listed, its
// memory placed. Plain data; recording it is the session's work.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "caldera/graph.h"
#include "caldera/session.h"

#include "graph/dispatch.h"
#include "graph/kernel.h"
#include "graph/memory_planner.h"
#include "runtime/capabilities.h"

namespace caldera {

struct Plan {
  Graph graph;  // After the passes.
  Weights parameters;
  std::vector<const KernelVariant*> kernels;  // By node.
  std::vector<Dispatch> dispatches;
  std::vector<PackedWeight> weights;
  uint64_t weights_bytes = 0;

  std::vector<ValueId> storage;  // By value: the value whose memory it has (its own, mostly).
  MemoryPlan memory;             // By value; used for values that are their own storage.
  std::vector<uint64_t> input_offsets;   // In the input staging buffer, by Graph::inputs.
  std::vector<uint64_t> output_offsets;  // In the output staging buffer, by Graph::outputs.
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;

  uint64_t arena_offset(ValueId value) const {
    return memory.offsets[static_cast<uint32_t>(storage[static_cast<uint32_t>(value)])];
  }
};

// An error where weights are missing or misshapen, a kernel's name is unknown, or a layer does not
// fit the device's limits.
Result<Plan> make_plan(const Capabilities& capabilities, std::string_view device_name, Graph graph,
                       Weights weights, const SessionOptions& options);

}  // namespace caldera
