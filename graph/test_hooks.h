// For tests alone: what no user needs.
#pragma once

#include "caldera/session.h"

namespace caldera {

// Fills the session's activations and output staging with NaN.
void poison_memory(Session& session);

}  // namespace caldera
