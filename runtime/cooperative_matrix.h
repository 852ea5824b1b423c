// What VK_KHR_cooperative_matrix offers on a device: a subgroup's product of small matrices, by
// the GPU's matrix units where it has them.
#pragma once

#include <vector>

#include "runtime/capabilities.h"
#include "runtime/instance.h"

namespace caldera {

// For a device that lists the extension. Empty where its feature is off, it does not work in
// compute shaders or on subgroups, or the Vulkan headers of the build, or the validation layers
// loaded, are older than the extension.
std::vector<CooperativeMatrixShape> cooperative_matrix_shapes(const Instance& instance,
                                                              VkPhysicalDevice handle);

}  // namespace caldera
