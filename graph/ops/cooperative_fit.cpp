// The choice of a cooperative matrix's shape, for whatever kernel is tiled by it.
#include "graph/ops/cooperative_fit.h"

namespace caldera {

std::optional<CooperativeFit> cooperative_fit(
    const Capabilities& capabilities, uint32_t subgroups, std::span<const uint32_t> steps,
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
  for (const CooperativeMatrixShape& shape : capabilities.cooperative_matrix_shapes) {
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

}  // namespace caldera
