// Which architecture a checkpoint holds, told from names and shapes alone. Measures the net
// (stem, block, blocks a stage, groups, width, shortcut, classes), then looks for the family
// member that needs the fewest parameters to be like it.
//
// What has no shape cannot be told, and the usual reading is taken: a bottleneck's stride is on
// its 3x3; option A's zeros stand where the family has them; and a net without projections is the
// option A residual net, not the plain net, whose tensors are the same.
#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "models/architectures/catalog.h"

namespace caldera {
namespace {

using Shapes = std::unordered_map<std::string_view, const Shape*>;

constexpr int32_t kMaxStageBlocks = 5000;

Error unknown(std::string_view why) {
  return {ErrorCode::kInvalidInput, fmt::format("the architecture cannot be told from the tensors: "
                                                "{}; name the architecture, such as resnet18",
                                                why)};
}

const Shape* find(const Shapes& shapes, std::string_view name) {
  const auto found = shapes.find(name);
  return found == shapes.end() ? nullptr : found->second;
}

// A convolution's weight [O, I, K, K] with extents that a net may have.
const Shape* find_conv(const Shapes& shapes, std::string_view name) {
  const Shape* shape = find(shapes, name);
  if (!shape || shape->size() != 4) return nullptr;
  return std::ranges::all_of(*shape, [](int64_t e) { return e >= 1 && e <= 1 << 20; }) ? shape
                                                                                       : nullptr;
}

void take_classes(const Shapes& shapes, std::initializer_list<std::string_view> names,
                  Architecture& a) {
  for (const std::string_view name : names) {
    const Shape* head = find(shapes, name);
    if (head && head->size() == 2 && (*head)[0] >= 1) {
      a.classes = (*head)[0];
      return;
    }
  }
}

// Holds the features' convolutions, and where they stand among the modules, against each member.
Result<Architecture> infer_vgg(const Shapes& shapes) {
  for (const ArchitectureEntry& entry : list_architectures()) {
    CALDERA_TRY_ASSIGN(Architecture a, find_member(entry.name));
    if (a.family != Family::kVgg) continue;
    const Shape* first = find_conv(shapes, "features.0.weight");
    if (!first) break;
    int64_t in = (*first)[1];
    a.input_channels = in;
    int index = 0;
    const bool fits = std::ranges::all_of(a.vgg_layers, [&](int32_t width) {
      if (width == 0) return !find(shapes, fmt::format("features.{}.weight", index++));
      const Shape* conv = find_conv(shapes, fmt::format("features.{}.weight", index++));
      if (!conv || *conv != Shape{width, in, 3, 3}) return false;
      in = width;
      if (a.vgg_batch_norm && !find(shapes, fmt::format("features.{}.running_mean", index++)))
        return false;
      return !find(shapes, fmt::format("features.{}.weight", index++));  // ReLU
    });
    if (!fits || find(shapes, fmt::format("features.{}.weight", index))) continue;
    take_classes(shapes, {"classifier.6.weight"}, a);
    return a;
  }
  return unknown("they are named like a VGG's, but its convolutions are none of A, B, D or E");
}

bool has_projection(const Shapes& shapes, std::string_view block) {
  return find_conv(shapes, fmt::format("{}.downsample.0.weight", block)) ||
         find_conv(shapes, fmt::format("{}.shortcut.0.weight", block));
}

// Any of a block's tensors tells of it, so that a missing one is told when weights are bound.
bool has_block(const Shapes& shapes, std::string_view name) {
  for (const char* tensor : {"conv1", "conv2", "conv3", "bn1", "bn2", "bn3"}) {
    if (find(shapes, fmt::format("{}.{}.weight", name, tensor))) return true;
  }
  return false;
}

// Blocks a stage; the shortcut's kind.
void measure_stages(const Shapes& shapes, Architecture& a) {
  bool any = false;
  bool where_shapes_agree = false;
  int64_t in = base_planes(a.family);
  for (size_t stage = 0;; ++stage) {
    int32_t blocks = 0;
    for (; blocks < kMaxStageBlocks; ++blocks) {
      const std::string name = fmt::format("layer{}.{}", stage + 1, blocks);
      if (!has_block(shapes, name)) break;
      const bool basic = a.block == BlockKind::kBasic;
      const Shape* last = find_conv(shapes, name + (basic ? ".conv2.weight" : ".conv3.weight"));
      const int64_t out = last ? (*last)[0] : in;
      const bool changes = (stage > 0 && blocks == 0) || in != out;
      in = out;
      if (!has_projection(shapes, name)) continue;
      any = true;
      where_shapes_agree |= !changes;
    }
    if (blocks == 0) break;
    a.layers.push_back(blocks);
  }
  a.shortcut = where_shapes_agree ? Shortcut::kProjectAll
               : any              ? Shortcut::kProject
                                  : Shortcut::kZeroPad;
}

// The family member that is like `measured` with the fewest parameters.
Result<Architecture> nearest_member(const Architecture& measured) {
  std::vector<std::string> names;
  for (ArchitectureEntry& entry : list_architectures()) names.push_back(std::move(entry.name));
  if (measured.family == Family::kCifarResNet) {
    const int32_t convs = measured.block == BlockKind::kBottleneck ? 9 : 6;
    names.insert(
        names.begin(),
        fmt::format("{}{}", measured.preactivation ? "cifar_preact_resnet" : "cifar_resnet",
                    convs * measured.layers.front() + 2));
  }
  std::optional<Architecture> best;
  std::ptrdiff_t least = 0;
  for (const std::string& name : names) {
    Result<Architecture> member = find_member(name);
    if (!member.ok() || member->block != measured.block) member = find_member(name, measured.block);
    if (!member.ok() || member->family != measured.family || member->shortcut == Shortcut::kNone ||
        member->preactivation != measured.preactivation)
      continue;
    Architecture candidate = measured;
    candidate.name = name;
    candidate.zero_channels = member->zero_channels;
    candidate.input = member->input;
    if (candidate.classes == 0) candidate.classes = member->classes;
    // An ImageNet net's other block is a name that nobody looks for.
    const std::string full_name = candidate.full_name();
    const bool odd_block =
        measured.family == Family::kResNet && full_name.find("block=") != full_name.npos;
    const std::ptrdiff_t cost = 2 * std::ranges::count(full_name, '=') + (odd_block ? 1 : 0);
    if (!best || cost < least) best = std::move(candidate), least = cost;
  }
  if (!best) return unknown("no family has such blocks");
  return *best;
}

Result<Architecture> infer_residual(const Shapes& shapes, const Shape& stem) {
  Architecture a;
  a.classes = 0;  // Until a head is found.
  if (stem[2] == 7 && stem[0] == base_planes(Family::kResNet)) {
    a.family = Family::kResNet;
  } else if (stem[2] == 3 && stem[0] == base_planes(Family::kCifarResNet)) {
    a.family = Family::kCifarResNet;
  } else {
    return unknown(fmt::format(
        "they are named like a ResNet's, but its stem is {}, not [64, 3, 7, 7] or [16, 3, 3, 3]",
        to_string(stem)));
  }
  a.input_channels = stem[1];
  a.preactivation = find(shapes, "bn.weight") && !find(shapes, "bn1.weight");
  if (find(shapes, "layer1.0.conv3.weight")) {
    a.block = BlockKind::kBottleneck;
    const Shape* middle = find_conv(shapes, "layer1.0.conv2.weight");
    const int64_t planes = base_planes(a.family);
    if (!middle || (*middle)[0] % (*middle)[1] != 0)
      return unknown("layer1.0.conv2.weight is no grouped convolution");
    a.groups = static_cast<int32_t>((*middle)[0] / (*middle)[1]);
    a.width_per_group = static_cast<int32_t>((*middle)[1] * 64 / planes);
  }
  measure_stages(shapes, a);
  const size_t stages = a.family == Family::kCifarResNet ? 3 : 4;
  if (a.layers.size() != stages)
    return unknown(fmt::format("they are named like a ResNet's, but the stages number {}, not {}",
                               a.layers.size(), stages));
  take_classes(shapes, {"fc.weight", "linear.weight"}, a);
  return nearest_member(a);
}

}  // namespace

Result<Architecture> infer_architecture(const Checkpoint& checkpoint) {
  const Checkpoint unified = unify_names(checkpoint);
  Shapes shapes;
  for (const NamedTensor& named : unified.tensors) {
    shapes.emplace(named.name, &named.tensor.shape());
  }
  if (find(shapes, "features.0.weight")) return infer_vgg(shapes);
  const Shape* stem = find_conv(shapes, "conv1.weight");
  if (stem && find(shapes, "layer1.0.conv1.weight")) return infer_residual(shapes, *stem);
  if (unified.tensors.empty()) return unknown("there are none");
  return unknown(fmt::format("names such as '{}' are of no known convention",
                             unified.tensors.front().name.substr(0, 128)));
}

}  // namespace caldera
