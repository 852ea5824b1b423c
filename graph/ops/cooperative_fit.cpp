// The choice of a cooperative matrix's shape, for whatever kernel is tiled by it.
#include "graph/ops/cooperative_fit.h"

#include <algorithm>

namespace caldera {

std::optional<CooperativeFit> cooperative_fit(
    const Capabilities& capabilities, std::span<const CooperativeMatrixShape> shapes,
    uint32_t subgroups, std::span<const uint32_t> steps,
    const std::function<bool(const CooperativeFit&)>& fits) {
  const uint32_t lanes = capabilities.subgroup_size;
  const uint32_t invocations = subgroups * lanes;
  if (!capabilities.fp16 || !capabilities.cooperative_matrix ||
      !capabilities.subgroup_size_control || lanes < capabilities.min_subgroup_size ||
      lanes > capabilities.max_subgroup_size ||
      invocations > capabilities.max_workgroup_invocations ||
      invocations > capabilities.max_workgroup_size[0]) {
    return std::nullopt;
  }
  std::optional<CooperativeFit> best;
  const auto size = [](const CooperativeMatrixShape& s) { return uint64_t{s.m} * s.n * s.k; };
  for (const CooperativeMatrixShape& shape : shapes) {
    if (shape.a != ComponentType::kFloat16 || shape.b != ComponentType::kFloat16 ||
        shape.c != ComponentType::kFloat32 || shape.result != ComponentType::kFloat32) {
      continue;
    }
    for (const uint32_t step : steps) {
      const CooperativeFit candidate{shape, step};
      if (!fits(candidate)) continue;
      if (!best || size(shape) > size(best->shape)) best = candidate;
    }
  }
  return best;
}

std::vector<CooperativeMatrixShape> flexible_shapes(const Capabilities& capabilities, uint32_t m,
                                                    uint32_t n) {
  const FlexibleMatrices& flexible = capabilities.flexible_matrices;
  if (std::max(m, n) > flexible.max_side) return {};
  std::vector<CooperativeMatrixShape> shapes;
  bool halves = false;  // Of sums.
  for (const CooperativeMatrixShape& granularity : flexible.granularities) {
    if (m % granularity.m != 0 || n % granularity.n != 0) continue;
    halves = halves || granularity.result == ComponentType::kFloat16;
    CooperativeMatrixShape& shape = shapes.emplace_back(granularity);
    shape.m = m;
    shape.n = n;
  }
  if (!halves) shapes.clear();
  return shapes;
}

}  // namespace caldera
