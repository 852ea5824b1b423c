// A parallel loop on the host.
#pragma once

#include <cstdint>
#include <functional>

namespace caldera {

// Calls body(0) .. body(count - 1), each once, on as many threads as the machine has.
void parallel_for(int64_t count, const std::function<void(int64_t)>& body);

}  // namespace caldera
