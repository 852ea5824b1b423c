// A net small enough to run a thousand times, with what real ones have: branches that join,
// batch-norm, a gate, pools, a classifier.
#pragma once

#include <cstdint>

#include "caldera/graph.h"

namespace caldera::test {

// [batch, 3, 13, 11] -> [batch, 5]
Graph small_net(int64_t batch);

}  // namespace caldera::test
