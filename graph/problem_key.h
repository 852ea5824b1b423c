// What a measured choice of kernel is kept under: all that kernels of an operator can tell apart.
#pragma once

#include <string>

#include "caldera/graph.h"
#include "caldera/session.h"

namespace caldera {

// "conv2d fp32 1x64x56x56 64x64x3x3 stride 1x1 padding 1x1 dilation 1x1 groups 1 bias relu".
std::string problem_key(const Graph& graph, const Node& node);

}  // namespace caldera
