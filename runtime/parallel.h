// A parallel loop on the host.
#pragma once

#include <cstdint>
#include <functional>

namespace caldera {

// Calls body(0) .. body(count - 1), each once, on as many threads as the machine has.
// What a body throws comes out here, and the bodies not begun by then are left out.
void parallel_for(int64_t count, const std::function<void(int64_t)>& body);

}  // namespace caldera
