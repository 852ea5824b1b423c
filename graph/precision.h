// What a precision means for storage, and what a device has.
#pragma once

#include "caldera/session.h"

#include "runtime/capabilities.h"

namespace caldera {

// How a plan of this precision stores what the graph leaves open.
Storage storage_of(Precision precision);

// `precision` where a device of such capabilities stores it, else kFp32.
Precision supported_precision(const Capabilities& capabilities, Precision precision);

}  // namespace caldera
