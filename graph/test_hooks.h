// For tests alone: what no user needs.
#pragma once

#include "caldera/session.h"

#include "runtime/capabilities.h"

namespace caldera {

// Fills the session's activations and output staging with NaN.
Status poison_memory(Session& session);

// With keep_activations: an activation as it lies in the arena, NHWC with padded channels.
Result<std::vector<float>> read_padded(Session& session, ValueId activation);

// A session planned as for a device of lower limits than `device` has.
Result<Session> create_session_within(const Capabilities& capabilities, const Device& device,
                                      const Graph& graph, const Weights& weights,
                                      const SessionOptions& options = {});

}  // namespace caldera
