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
#include "graph/passes/passes.h"
#include "graph/state_layout.h"
#include "runtime/capabilities.h"
#include "runtime/tuning.h"

namespace caldera {

struct Plan {
  Graph graph;  // After the passes.
  Weights parameters;
  ChannelScales scales;  // Of the parameters.
  Precision precision = Precision::kFp32;
  std::vector<const KernelVariant*> kernels;  // By node.
  std::vector<Dispatch> dispatches;
  // How many of them, the first ones, change no state and take nothing that the step before has to
  // tell: they may run before that has been read. All, where the graph does not train.
  size_t forward_dispatches = 0;
  // How many of them, the first ones, bring in the first input where it comes as bytes.
  size_t pixel_dispatches = 0;
  std::vector<PackedWeight> weights;
  std::vector<uint64_t> weights_blocks;  // Bytes of each.
  uint64_t weights_bytes = 0;            // All blocks together.
  StateLayout states;                    // What training changes.
  std::vector<uint64_t> workspaces;      // Bytes of each.

  std::vector<ValueId> owners;  // By value: the value whose memory it has (its own, mostly).
  // By value, then by workspace; used for values that are their own owners.
  MemoryPlan memory;
  std::vector<uint64_t> input_offsets;   // In the input staging buffer, by Graph::inputs.
  std::vector<uint64_t> output_offsets;  // In the output staging buffer, by Graph::outputs.
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;

  Place arena_place(ValueId value) const {
    return memory.places[static_cast<uint32_t>(owners[static_cast<uint32_t>(value)])];
  }
  Place workspace_place(uint32_t workspace) const {
    return memory.places[graph.values.size() + workspace];
  }
};

// `tuning`: what was measured on this device (SessionOptions::tuned says whether it counts). An
// error where weights are missing or misshapen, a kernel's name is unknown, or a layer does not
// fit the device's limits.
Result<Plan> make_plan(const Capabilities& capabilities, std::string_view device_name, Graph graph,
                       Weights weights, const SessionOptions& options, const Tuning& tuning = {});

}  // namespace caldera
