// What a user should hear of tuning, whichever command tuned.
#pragma once

#include "caldera/tuner.h"

namespace caldera::tool {

// Kernels that computed something else than the CPU, which whoever keeps the driver wants to know
// of; and a verdict that could not be kept.
void note_tuning(const TuneReport& report);

}  // namespace caldera::tool
