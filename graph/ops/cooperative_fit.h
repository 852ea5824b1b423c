// Which of a device's cooperative matrices a tile of halves is multiplied by, and in what steps.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "runtime/capabilities.h"

namespace caldera {

struct CooperativeFit {
  CooperativeMatrixShape shape;
  uint32_t step = 0;
};

// The largest of the device's shapes that multiply halves and sum floats, with the first of
// `steps`, that `fits`; none where the device cannot run a workgroup of `subgroups` subgroups of
// its default size.
std::optional<CooperativeFit> cooperative_fit(
    const Capabilities& capabilities, uint32_t subgroups, std::span<const uint32_t> steps,
    const std::function<bool(const CooperativeFit&)>& fits);

}  // namespace caldera
