// The family members, as tables; what may follow a member's name is in parameters.cpp. Names come
// from users and from files' metadata, hence the bound on the depth of the CIFAR nets.
#include "models/architectures/catalog.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "caldera/architecture.h"
#include "caldera/nearest.h"

namespace caldera {
namespace {

constexpr int32_t kMaxCifarDepth = 10000;

struct ResidualMember {
  std::string_view name;
  std::string_view description;
  BlockKind block;
  std::array<int32_t, 4> layers;
  Shortcut shortcut = Shortcut::kProject;
  bool preactivation = false;
  int32_t groups = 1;
  int32_t width_per_group = 64;
};

constexpr auto kBasic = BlockKind::kBasic;
constexpr auto kBottleneck = BlockKind::kBottleneck;

constexpr ResidualMember kResidualMembers[] = {
    {"resnet18", "ResNet-18", kBasic, {2, 2, 2, 2}},
    {"resnet34", "ResNet-34", kBasic, {3, 4, 6, 3}},
    {"resnet50", "ResNet-50", kBottleneck, {3, 4, 6, 3}},
    {"resnet101", "ResNet-101", kBottleneck, {3, 4, 23, 3}},
    {"resnet152", "ResNet-152", kBottleneck, {3, 8, 36, 3}},
    {"plain18", "18 layers without shortcuts", kBasic, {2, 2, 2, 2}, Shortcut::kNone},
    {"plain34", "34 layers without shortcuts", kBasic, {3, 4, 6, 3}, Shortcut::kNone},
    {"resnext50_32x4d",
     "ResNeXt-50, 32 groups of 4",
     kBottleneck,
     {3, 4, 6, 3},
     Shortcut::kProject,
     false,
     32,
     4},
    {"resnext101_32x8d",
     "ResNeXt-101, 32 groups of 8",
     kBottleneck,
     {3, 4, 23, 3},
     Shortcut::kProject,
     false,
     32,
     8},
    {"resnext101_64x4d",
     "ResNeXt-101, 64 groups of 4",
     kBottleneck,
     {3, 4, 23, 3},
     Shortcut::kProject,
     false,
     64,
     4},
    {"wide_resnet50_2",
     "Wide ResNet-50-2",
     kBottleneck,
     {3, 4, 6, 3},
     Shortcut::kProject,
     false,
     1,
     128},
    {"wide_resnet101_2",
     "Wide ResNet-101-2",
     kBottleneck,
     {3, 4, 23, 3},
     Shortcut::kProject,
     false,
     1,
     128},
    {"preact_resnet18", "Pre-activation ResNet-18", kBasic, {2, 2, 2, 2}, Shortcut::kProject, true},
    {"preact_resnet34", "Pre-activation ResNet-34", kBasic, {3, 4, 6, 3}, Shortcut::kProject, true},
    {"preact_resnet50",
     "Pre-activation ResNet-50",
     kBottleneck,
     {3, 4, 6, 3},
     Shortcut::kProject,
     true},
    {"preact_resnet101",
     "Pre-activation ResNet-101",
     kBottleneck,
     {3, 4, 23, 3},
     Shortcut::kProject,
     true},
    {"preact_resnet152",
     "Pre-activation ResNet-152",
     kBottleneck,
     {3, 8, 36, 3},
     Shortcut::kProject,
     true},
};

// The CIFAR nets: a prefix and a depth, 6n+2 with basic blocks and 9n+2 with bottlenecks.
struct CifarFamily {
  std::string_view prefix;
  std::string_view description;
  Shortcut shortcut;
  bool preactivation;
  std::array<int32_t, 6> listed;  // Depths that the papers name; 0 for none.
};

constexpr CifarFamily kCifarFamilies[] = {
    {"cifar_resnet",
     "CIFAR ResNet-{} (any depth 6n+2)",
     Shortcut::kZeroPad,
     false,
     {20, 32, 44, 56, 110, 1202}},
    {"cifar_plain",
     "CIFAR plain net of {} layers (any depth 6n+2)",
     Shortcut::kNone,
     false,
     {20, 32, 44, 56, 110, 1202}},
    {"cifar_preact_resnet",
     "CIFAR pre-activation ResNet-{} (6n+2, or 9n+2 with bottlenecks)",
     Shortcut::kZeroPad,
     true,
     {20, 56, 110, 164, 1001, 0}},
};

struct VggMember {
  std::string_view name;
  std::string_view description;
  std::array<int32_t, 5> convs;  // A stage, before its max-pool.
  bool batch_norm;
};

constexpr VggMember kVggMembers[] = {
    {"vgg11", "VGG-11 (A)", {1, 1, 2, 2, 2}, false},
    {"vgg11_bn", "VGG-11 (A) with batch-norm", {1, 1, 2, 2, 2}, true},
    {"vgg13", "VGG-13 (B)", {2, 2, 2, 2, 2}, false},
    {"vgg13_bn", "VGG-13 (B) with batch-norm", {2, 2, 2, 2, 2}, true},
    {"vgg16", "VGG-16 (D)", {2, 2, 3, 3, 3}, false},
    {"vgg16_bn", "VGG-16 (D) with batch-norm", {2, 2, 3, 3, 3}, true},
    {"vgg19", "VGG-19 (E)", {2, 2, 4, 4, 4}, false},
    {"vgg19_bn", "VGG-19 (E) with batch-norm", {2, 2, 4, 4, 4}, true},
};

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
}

Architecture make(const ResidualMember& member) {
  Architecture a;
  a.name = member.name;
  a.family = Family::kResNet;
  a.block = member.block;
  a.layers.assign(member.layers.begin(), member.layers.end());
  a.shortcut = member.shortcut;
  a.preactivation = member.preactivation;
  a.groups = member.groups;
  a.width_per_group = member.width_per_group;
  return a;
}

Architecture make(const VggMember& member) {
  Architecture a;
  a.name = member.name;
  a.family = Family::kVgg;
  a.vgg_batch_norm = member.batch_norm;
  for (size_t stage = 0; stage < member.convs.size(); ++stage) {
    const int32_t width = std::min(64 << stage, 512);
    a.vgg_layers.insert(a.vgg_layers.end(), static_cast<size_t>(member.convs[stage]), width);
    a.vgg_layers.push_back(0);
  }
  return a;
}

// The identity-mappings paper's 164 and 1001 layers are bottlenecks, though 164 is also 6n+2.
BlockKind default_cifar_block(const CifarFamily& family, int64_t depth) {
  if (!family.preactivation) return BlockKind::kBasic;
  return depth == 164 || (depth - 2) % 6 != 0 ? BlockKind::kBottleneck : BlockKind::kBasic;
}

Result<Architecture> make_cifar(const CifarFamily& family, std::string_view name,
                                std::string_view depth_text, std::optional<BlockKind> block) {
  int64_t depth = 0;
  const bool number = parse_number(depth_text, 8, kMaxCifarDepth, depth);
  Architecture a;
  a.block = block.value_or(default_cifar_block(family, depth));
  const bool bottleneck = a.block == BlockKind::kBottleneck;
  const int32_t convs = bottleneck ? 9 : 6;  // Convolutions a block, in three stages.
  if (!number || (depth - 2) % convs != 0 || depth - 2 < convs) {
    return invalid(fmt::format("'{}': the depth must be {}n+2 and at most {}, such as {}{}",
                               name.substr(0, 64), convs, kMaxCifarDepth, family.prefix,
                               bottleneck ? "164" : "20"));
  }
  a.name = fmt::format("{}{}", family.prefix, depth);
  a.family = Family::kCifarResNet;
  a.classes = 10;
  a.input = {32, 32};
  a.layers.assign(3, static_cast<int32_t>((depth - 2) / convs));
  a.shortcut = family.shortcut;
  a.zero_channels = ZeroChannels::kCentered;
  a.preactivation = family.preactivation;
  // As in the identity-mappings paper's code, whose first block widens 16 channels to 64.
  if (family.preactivation && bottleneck) a.shortcut = Shortcut::kProject;
  return a;
}

Error unknown_name(std::string_view name) {
  const std::string_view shown = name.substr(0, 64);
  std::vector<std::string> names;
  for (const ArchitectureEntry& entry : list_architectures()) names.push_back(entry.name);
  return invalid(fmt::format("no architecture is named '{}'; the nearest is '{}'", shown,
                             nearest(shown, names, SIZE_MAX - 1)));
}

}  // namespace

bool parse_number(std::string_view text, int64_t low, int64_t high, int64_t& number) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && rest == end && number >= low && number <= high;
}

Result<Architecture> find_member(std::string_view name, std::optional<BlockKind> block) {
  const auto* residual = std::ranges::find(kResidualMembers, name, &ResidualMember::name);
  if (residual != std::end(kResidualMembers)) {
    Architecture a = make(*residual);
    if (block) a.block = *block;
    return a;
  }
  const auto* vgg = std::ranges::find(kVggMembers, name, &VggMember::name);
  if (vgg != std::end(kVggMembers)) return make(*vgg);
  for (const CifarFamily& family : kCifarFamilies) {
    if (!name.starts_with(family.prefix)) continue;
    const std::string_view depth = name.substr(family.prefix.size());
    if (depth.empty() || !std::ranges::all_of(depth, [](char c) { return c >= '0' && c <= '9'; }))
      continue;
    return make_cifar(family, name, depth, block);
  }
  return unknown_name(name);
}

std::vector<ArchitectureEntry> list_architectures() {
  std::vector<ArchitectureEntry> entries;
  for (const ResidualMember& member : kResidualMembers) {
    entries.push_back({std::string(member.name), std::string(member.description)});
  }
  for (const CifarFamily& family : kCifarFamilies) {
    for (const int32_t depth : family.listed) {
      if (depth == 0) continue;
      entries.push_back({fmt::format("{}{}", family.prefix, depth),
                         fmt::format(fmt::runtime(family.description), depth)});
    }
  }
  for (const VggMember& member : kVggMembers) {
    entries.push_back({std::string(member.name), std::string(member.description)});
  }
  return entries;
}

}  // namespace caldera
