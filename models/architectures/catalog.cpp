// The family members and their parameters, as two tables: what a member is, and what may follow
// its name after a colon. A full name prints those parameters that differ from the member's, by
// the same table that reads them, so that both directions agree. Names come from users and from
// files' metadata, hence the bounds on every number.
#include "models/architectures/catalog.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caldera/architecture.h"

namespace caldera {
namespace {

constexpr int64_t kMaxClasses = 1 << 20;
constexpr int64_t kMaxChannels = 1 << 12;
constexpr int64_t kMaxExtent = 1 << 16;
constexpr int32_t kMaxBlocks = 5000;  // In all stages together.
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

bool parse_number(std::string_view text, int64_t low, int64_t high, int64_t& number) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && rest == end && number >= low && number <= high;
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

// Levenshtein's distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

Error unknown_name(std::string_view name) {
  const std::string_view shown = name.substr(0, 64);
  std::string nearest;
  size_t least = SIZE_MAX;
  for (const ArchitectureEntry& entry : list_architectures()) {
    const size_t distance = edit_distance(shown, entry.name);
    if (distance < least) least = distance, nearest = entry.name;
  }
  return invalid(fmt::format("no architecture is named '{}'; the nearest is '{}'", shown, nearest));
}

// A parameter's reader and printer. Readers check all bounds but those between parameters.
struct Parameter {
  std::string_view key;
  std::string_view expects;
  bool residual;  // Means nothing to VGG.
  bool (*parse)(std::string_view text, Architecture& a);
  std::string (*print)(const Architecture& a);
};

template <typename T>
struct Choice {
  std::string_view name;
  T value;
};
constexpr Choice<Shortcut> kShortcuts[] = {{"none", Shortcut::kNone},
                                           {"a", Shortcut::kZeroPad},
                                           {"b", Shortcut::kProject},
                                           {"c", Shortcut::kProjectAll}};
constexpr Choice<ZeroChannels> kZeros[] = {{"end", ZeroChannels::kEnd},
                                           {"centered", ZeroChannels::kCentered}};
constexpr Choice<bool> kStrides[] = {{"first", true}, {"3x3", false}};
constexpr Choice<BlockKind> kBlocks[] = {{"basic", kBasic}, {"bottleneck", kBottleneck}};

template <typename T, size_t N>
bool parse_choice(const Choice<T> (&choices)[N], std::string_view text, T& value) {
  const auto* found = std::ranges::find(choices, text, &Choice<T>::name);
  if (found == std::end(choices)) return false;
  value = found->value;
  return true;
}
template <typename T, size_t N>
std::string print_choice(const Choice<T> (&choices)[N], T value) {
  return std::string(std::ranges::find(choices, value, &Choice<T>::value)->name);
}

template <typename T>
bool parse_field(std::string_view text, int64_t high, T& field) {
  int64_t number = 0;
  if (!parse_number(text, 1, high, number)) return false;
  field = static_cast<T>(number);
  return true;
}

bool parse_input(std::string_view text, Architecture& a) {
  const size_t x = text.find('x');
  const std::string_view width = x == text.npos ? text : text.substr(x + 1);
  return parse_field(text.substr(0, x), kMaxExtent, a.input.h) &&
         parse_field(width, kMaxExtent, a.input.w);
}

std::string print_input(const Architecture& a) {
  if (a.input.h == a.input.w) return fmt::to_string(a.input.h);
  return fmt::format("{}x{}", a.input.h, a.input.w);
}

bool parse_layers(std::string_view text, Architecture& a) {
  std::vector<int32_t> layers;
  while (true) {
    const size_t dash = text.find('-');
    int32_t blocks = 0;
    if (!parse_field(text.substr(0, dash), kMaxBlocks, blocks)) return false;
    layers.push_back(blocks);
    if (layers.size() > a.layers.size()) return false;
    if (dash == text.npos) break;
    text.remove_prefix(dash + 1);
  }
  if (layers.size() != a.layers.size()) return false;
  if (std::accumulate(layers.begin(), layers.end(), 0) > kMaxBlocks) return false;
  a.layers = std::move(layers);
  return true;
}

using Text = std::string_view;
using Arch = Architecture;
constexpr Parameter kParameters[] = {
    {"block", "basic or bottleneck", true,
     [](Text text, Arch& a) { return parse_choice(kBlocks, text, a.block); },
     [](const Arch& a) { return print_choice(kBlocks, a.block); }},
    {"layers", "blocks a stage, such as 3-4-6-3 (3-3-3 for CIFAR nets)", true, parse_layers,
     [](const Arch& a) { return fmt::format("{}", fmt::join(a.layers, "-")); }},
    {"shortcut", "a, b, c or none", true,
     [](Text text, Arch& a) { return parse_choice(kShortcuts, text, a.shortcut); },
     [](const Arch& a) { return print_choice(kShortcuts, a.shortcut); }},
    {"zeros", "end or centered", true,
     [](Text text, Arch& a) { return parse_choice(kZeros, text, a.zero_channels); },
     [](const Arch& a) { return print_choice(kZeros, a.zero_channels); }},
    {"stride", "first or 3x3", true,
     [](Text text, Arch& a) { return parse_choice(kStrides, text, a.stride_on_first); },
     [](const Arch& a) { return print_choice(kStrides, a.stride_on_first); }},
    {"groups", "a count of groups", true,
     [](Text text, Arch& a) { return parse_field(text, kMaxChannels, a.groups); },
     [](const Arch& a) { return fmt::to_string(a.groups); }},
    {"width", "a count of channels a group", true,
     [](Text text, Arch& a) { return parse_field(text, kMaxChannels, a.width_per_group); },
     [](const Arch& a) { return fmt::to_string(a.width_per_group); }},
    {"classes", "a count of classes", false,
     [](Text text, Arch& a) { return parse_field(text, kMaxClasses, a.classes); },
     [](const Arch& a) { return fmt::to_string(a.classes); }},
    {"input", "a size such as 224 or 192x256 (height first)", false, parse_input, print_input},
    {"channels", "a count of input channels", false,
     [](Text text, Arch& a) { return parse_field(text, kMaxChannels, a.input_channels); },
     [](const Arch& a) { return fmt::to_string(a.input_channels); }},
};

// "key=value" out of a list separated by commas; the list loses it.
std::string_view take_parameter(std::string_view& list) {
  const size_t comma = list.find(',');
  const std::string_view first = list.substr(0, comma);
  list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  return first;
}

Status apply(std::string_view text, Architecture& a) {
  const size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals);
  const bool vgg = a.family == Family::kVgg;
  const auto* parameter = std::ranges::find(kParameters, key, &Parameter::key);
  if (parameter == std::end(kParameters) || (vgg && parameter->residual)) {
    std::vector<std::string_view> known;
    for (const Parameter& p : kParameters) {
      if (!vgg || !p.residual) known.push_back(p.key);
    }
    return invalid(fmt::format("{} has no parameter '{}'; it has {}", a.name, key.substr(0, 64),
                               fmt::join(known, ", ")));
  }
  const std::string_view value = equals == text.npos ? "" : text.substr(equals + 1);
  if (!parameter->parse(value, a)) {
    return invalid(fmt::format("{}: '{}={}' should be {}", a.name, key, value.substr(0, 64),
                               parameter->expects));
  }
  return {};
}

}  // namespace

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

Result<Architecture> find_architecture(std::string_view full_name) {
  const size_t colon = full_name.find(':');
  const std::string_view name = full_name.substr(0, colon);
  const std::string_view parameters =
      colon == full_name.npos ? std::string_view() : full_name.substr(colon + 1);

  // The block first, wherever it stands: what a CIFAR depth means hangs on it.
  std::optional<BlockKind> block;
  for (std::string_view list = parameters; !list.empty();) {
    const std::string_view parameter = take_parameter(list);
    BlockKind kind{};
    if (parameter.starts_with("block=") && parse_choice(kBlocks, parameter.substr(6), kind))
      block = kind;
  }
  CALDERA_TRY_ASSIGN(Architecture architecture, find_member(name, block));
  for (std::string_view list = parameters; !list.empty();) {
    CALDERA_TRY(apply(take_parameter(list), architecture));
  }
  return architecture;
}

std::string Architecture::full_name() const {
  Result<Architecture> member = find_member(name);
  // VGG has no block; a CIFAR depth may be one of this block alone.
  const bool other_block = family != Family::kVgg && !(member.ok() && member->block == block);
  if (other_block) {
    if (Result<Architecture> other = find_member(name, block); other.ok()) member = other;
  }
  const Architecture base = member.ok() ? *member : Architecture{};
  std::string text = name;
  char separator = ':';
  for (const Parameter& parameter : kParameters) {
    if (parameter.residual && family == Family::kVgg) continue;
    const bool differs =
        parameter.key == "block" ? other_block : parameter.print(*this) != parameter.print(base);
    if (!differs) continue;
    text += fmt::format("{}{}={}", separator, parameter.key, parameter.print(*this));
    separator = ',';
  }
  return text;
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
