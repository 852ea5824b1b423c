// What the files of this folder share: family members without parameters, the builders of each
// family, and names in a form that no longer depends on the convention.
#pragma once

#include <optional>
#include <string_view>

#include "caldera/architecture.h"

namespace caldera {

// A family member by its bare name, with the block kind given instead of its own.
Result<Architecture> find_member(std::string_view name,
                                 std::optional<BlockKind> block = std::nullopt);

// The whole of `text` as a number from `low` to `high`.
bool parse_number(std::string_view text, int64_t low, int64_t high, int64_t& number);

// Filters of the first stage's blocks, before a bottleneck's expansion.
int64_t base_planes(Family family);
// Channels that leave a bottleneck over those of its stage.
inline constexpr int64_t kBottleneckExpansion = 4;

Result<Graph> build_residual(const Architecture& architecture, int64_t batch, Size2d input);
Result<Graph> build_vgg(const Architecture& architecture, int64_t batch, Size2d input);

// The module that holds a block's projection: "downsample", or "shortcut" in the CIFAR nets.
std::string_view projection_name(Family family);
// The module of the classifier's last layer: "fc", "linear" or "classifier.6".
std::string_view head_name(Family family);

// Names as torchvision or pytorch_resnet_cifar10 would have them, whatever the architecture.
Checkpoint unify_names(const Checkpoint& checkpoint);

}  // namespace caldera
