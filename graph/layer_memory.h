// What each layer of a plan holds in device memory: the plan seen from its nodes, for people.
#pragma once

#include <vector>

#include "caldera/session.h"

#include "graph/plan.h"

namespace caldera {

// By node of the plan's graph.
std::vector<LayerMemory> layer_memory(const Plan& plan);

}  // namespace caldera
