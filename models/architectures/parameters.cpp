// Full names: what may follow a member's name after a colon, as one table. A full name prints those
// parameters that differ from the member's, by the table that also reads them, so that both
// directions agree. Names come from users and from files' metadata, hence the bounds on every
// number.
#include <algorithm>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "models/architectures/catalog.h"

namespace caldera {
namespace {

constexpr int64_t kMaxClasses = 1 << 20;
constexpr int64_t kMaxChannels = 1 << 12;
constexpr int64_t kMaxExtent = 1 << 16;
constexpr int32_t kMaxBlocks = 5000;  // In all stages together.

constexpr auto kBasic = BlockKind::kBasic;
constexpr auto kBottleneck = BlockKind::kBottleneck;

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
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

}  // namespace caldera
