// Residual and plain networks: one function a block kind, and the stem and head around them, for
// ImageNet (7x7 stem, four stages) and CIFAR (3x3 stem, three stages of 16, 32, 64 filters).
//
// Parameter names are torchvision's, for CIFAR pytorch_resnet_cifar10's. Pre-activation nets have
// no such model to follow and are named alike: layerS.B.bn1, conv1, bn2, conv2 (, bn3, conv3) in
// the order in which they run, a projection without batch-norm in downsample.0 (CIFAR:
// shortcut.0), which takes the activated input as the authors' code does, and a last "bn" before
// the pooling.
#include <string>

#include <fmt/format.h>

#include "models/architectures/catalog.h"

namespace caldera {
namespace {

struct Net {
  GraphBuilder& builder;
  const Architecture& architecture;
};

// One block's place and measures.
struct Block {
  std::string name;  // "layer1.0"
  int64_t planes;    // Filters of the stage.
  int64_t out_channels;
  int32_t stride;
};

ValueId conv(Net& net, const std::string& name, ValueId x, int64_t out_channels, int32_t kernel,
             int32_t stride = 1, int32_t groups = 1) {
  Conv2dAttrs attrs;
  attrs.stride = {stride, stride};
  attrs.padding = {kernel / 2, kernel / 2};
  attrs.groups = groups;
  return net.builder.conv2d(name, x, out_channels, {kernel, kernel}, attrs);
}

ValueId bn_relu(Net& net, const std::string& bn, const std::string& relu, ValueId x) {
  return net.builder.relu(relu, net.builder.batch_norm(bn, x));
}

// Option A: every second pixel, zeros for the channels that x lacks.
ValueId zero_pad(Net& net, const Block& block, ValueId x) {
  if (block.stride > 1) {
    const SubsampleAttrs attrs{{block.stride, block.stride}};
    x = net.builder.subsample(block.name + ".shortcut.subsample", x, attrs);
  }
  if (x == ValueId::kNone) return x;
  const auto missing = static_cast<int32_t>(block.out_channels - net.builder.shape(x)[1]);
  if (missing == 0) return x;
  PadAttrs attrs;
  const bool centered = net.architecture.zero_channels == ZeroChannels::kCentered;
  attrs.channels_before = centered ? missing / 2 : 0;
  attrs.channels_after = missing - attrs.channels_before;
  return net.builder.pad(block.name + ".shortcut.pad", x, attrs);
}

// Adds to y what the shortcut carries of the block's input x. `activated` is what a projection
// takes: x itself, or its activation in a pre-activation net.
ValueId add_shortcut(Net& net, const Block& block, ValueId x, ValueId activated, ValueId y) {
  const Architecture& a = net.architecture;
  if (x == ValueId::kNone || a.shortcut == Shortcut::kNone) return y;
  const bool changes = block.stride > 1 || net.builder.shape(x)[1] != block.out_channels;
  if (a.shortcut == Shortcut::kProjectAll || (a.shortcut == Shortcut::kProject && changes)) {
    const std::string name = fmt::format("{}.{}", block.name, projection_name(a.family));
    x = conv(net, name + ".0", activated, block.out_channels, 1, block.stride);
    if (!a.preactivation) x = net.builder.batch_norm(name + ".1", x);
  } else if (changes) {
    x = zero_pad(net, block, x);
  }
  return net.builder.add(block.name + ".add", y, x);
}

// The convolutions of a block: one row a convolution.
struct Layer {
  int64_t channels;
  int32_t kernel;
  int32_t stride;
  int32_t groups;
};

std::vector<Layer> block_layers(const Architecture& a, const Block& block) {
  if (a.block == BlockKind::kBasic) {
    return {{block.planes, 3, block.stride, 1}, {block.planes, 3, 1, 1}};
  }
  const int64_t width = block.planes * a.width_per_group / 64 * a.groups;
  const int32_t first = a.stride_on_first ? block.stride : 1;
  const int32_t middle = a.stride_on_first ? 1 : block.stride;
  return {{width, 1, first, 1}, {width, 3, middle, a.groups}, {block.out_channels, 1, 1, 1}};
}

// conv, bn, relu, conv, bn (, relu, conv, bn), add, relu.
ValueId post_activation_block(Net& net, const Block& block, ValueId x) {
  ValueId y = x;
  const std::vector<Layer> layers = block_layers(net.architecture, block);
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    const size_t number = i + 1;
    y = conv(net, fmt::format("{}.conv{}", block.name, number), y, layer.channels, layer.kernel,
             layer.stride, layer.groups);
    y = net.builder.batch_norm(fmt::format("{}.bn{}", block.name, number), y);
    if (number == layers.size()) y = add_shortcut(net, block, x, x, y);
    y = net.builder.relu(fmt::format("{}.relu{}", block.name, number), y);
  }
  return y;
}

// bn, relu, conv, bn, relu, conv (, bn, relu, conv), add.
ValueId pre_activation_block(Net& net, const Block& block, ValueId x) {
  ValueId y = x;
  ValueId activated = ValueId::kNone;
  const std::vector<Layer> layers = block_layers(net.architecture, block);
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    const size_t number = i + 1;
    y = bn_relu(net, fmt::format("{}.bn{}", block.name, number),
                fmt::format("{}.relu{}", block.name, number), y);
    if (i == 0) activated = y;
    y = conv(net, fmt::format("{}.conv{}", block.name, number), y, layer.channels, layer.kernel,
             layer.stride, layer.groups);
  }
  return add_shortcut(net, block, x, activated, y);
}

Status check(const Architecture& a) {
  const size_t stages = a.family == Family::kCifarResNet ? 3 : 4;
  if (a.layers.size() != stages) {
    return Error{ErrorCode::kInvalidInput, fmt::format("{}: needs blocks for {} stages, got {}",
                                                       a.name, stages, a.layers.size())};
  }
  const bool plain_width = a.groups == 1 && a.width_per_group == 64;
  if (a.block == BlockKind::kBasic && !plain_width) {
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("{}: groups and width are for bottlenecks; its blocks are basic", a.name)};
  }
  if (a.groups < 1 || base_planes(a.family) * a.width_per_group < 64) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: {} group(s) of width {} leave a bottleneck without channels",
                             a.name, a.groups, a.width_per_group)};
  }
  return {};
}

}  // namespace

int64_t base_planes(Family family) {
  return family == Family::kCifarResNet ? 16 : 64;
}

std::string_view projection_name(Family family) {
  return family == Family::kCifarResNet ? "shortcut" : "downsample";
}

std::string_view head_name(Family family) {
  if (family == Family::kVgg) return "classifier.6";
  return family == Family::kCifarResNet ? "linear" : "fc";
}

Result<Graph> build_residual(const Architecture& a, int64_t batch, Size2d input) {
  CALDERA_TRY(check(a));
  GraphBuilder builder;
  Net net{builder, a};
  const bool cifar = a.family == Family::kCifarResNet;
  const int64_t planes = base_planes(a.family);

  ValueId x = builder.input("input", {batch, a.input_channels, input.h, input.w});
  x = cifar ? conv(net, "conv1", x, planes, 3) : conv(net, "conv1", x, planes, 7, 2);
  if (!a.preactivation) x = bn_relu(net, "bn1", "relu", x);
  if (!cifar) x = builder.max_pool2d("maxpool", x, {{3, 3}, {2, 2}, {1, 1}});

  for (size_t stage = 0; stage < a.layers.size(); ++stage) {
    for (int32_t i = 0; i < a.layers[stage]; ++i) {
      Block block;
      block.name = fmt::format("layer{}.{}", stage + 1, i);
      block.planes = planes << stage;
      block.out_channels =
          block.planes * (a.block == BlockKind::kBottleneck ? kBottleneckExpansion : 1);
      block.stride = stage > 0 && i == 0 ? 2 : 1;
      x = a.preactivation ? pre_activation_block(net, block, x)
                          : post_activation_block(net, block, x);
    }
  }
  if (a.preactivation) x = bn_relu(net, "bn", "relu", x);
  x = builder.flatten("flatten", builder.adaptive_avg_pool2d("avgpool", x, {{1, 1}}));
  builder.output(builder.linear(head_name(a.family), x, a.classes));
  return std::move(builder).finish();
}

}  // namespace caldera
