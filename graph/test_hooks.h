// For tests alone: what no user needs.
#pragma once

#include "caldera/session.h"

#include "runtime/capabilities.h"

namespace caldera {

// Fills the session's activations and output staging with NaN.
Status poison_memory(Session& session);

// A session planned as for a device of lower limits than `device` has.
Result<Session> create_session_within(const Capabilities& capabilities, const Device& device,
                                      const Graph& graph, const Weights& weights,
                                      const SessionOptions& options = {});

}  // namespace caldera
