// Conventions of naming, as tables of patterns. In a pattern `#` is a number and a final `*` the
// rest of the name ("weight", "running_mean"); in its replacement `#` is the next number found,
// `#+` that number plus one. A convention is known by one name that no other has.
//
//   timm         VGG's classifier as convolutions; resnetv2's pre-activation nets. Its ResNets are
//                named as torchvision's.
//   Hugging Face ResNetForImageClassification. downsample_in_bottleneck leaves no trace in names
//                or shapes: a net that has it is named "resnet50:stride=first" by its user.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "models/architectures/catalog.h"

namespace caldera {
namespace {

struct Rename {
  std::string_view from;
  std::string_view to;
  bool flatten = false;  // A 1x1 or full-size convolution that stands for a linear layer.
};

constexpr Rename kTimmVgg[] = {
    {"pre_logits.fc1.*", "classifier.0.*", true},
    {"pre_logits.fc2.*", "classifier.3.*", true},
    {"head.fc.*", "classifier.6.*", true},
};

constexpr Rename kTimmPreactivation[] = {
    {"stem.conv.*", "conv1.*"},
    {"stages.#.blocks.#.norm#.*", "layer#+.#.bn#.*"},
    {"stages.#.blocks.#.conv#.*", "layer#+.#.conv#.*"},
    {"stages.#.blocks.#.downsample.conv.*", "layer#+.#.downsample.0.*"},
    {"norm.*", "bn.*"},
    {"head.fc.*", "fc.*", true},
};

constexpr Rename kHuggingFace[] = {
    {"resnet.embedder.embedder.convolution.*", "conv1.*"},
    {"resnet.embedder.embedder.normalization.*", "bn1.*"},
    {"resnet.encoder.stages.#.layers.#.layer.#.convolution.*", "layer#+.#.conv#+.*"},
    {"resnet.encoder.stages.#.layers.#.layer.#.normalization.*", "layer#+.#.bn#+.*"},
    {"resnet.encoder.stages.#.layers.#.shortcut.convolution.*", "layer#+.#.downsample.0.*"},
    {"resnet.encoder.stages.#.layers.#.shortcut.normalization.*", "layer#+.#.downsample.1.*"},
    {"classifier.1.*", "fc.*"},
};

struct Convention {
  std::string_view mark;
  std::span<const Rename> renames;
};

constexpr Convention kConventions[] = {
    {"pre_logits.fc1.weight", kTimmVgg},
    {"stem.conv.weight", kTimmPreactivation},
    {"resnet.embedder.embedder.convolution.weight", kHuggingFace},
};

// What the other kind of net calls the same modules.
constexpr Rename kToCifar[] = {
    {"fc.*", "linear.*"},
    {"layer#.#.downsample.#.*", "layer#.#.shortcut.#.*"},
};
constexpr Rename kToImageNet[] = {
    {"linear.*", "fc.*"},
    {"layer#.#.shortcut.#.*", "layer#.#.downsample.#.*"},
};

std::string substitute(std::string_view to, std::span<const int64_t> numbers,
                       std::string_view rest) {
  std::string name;
  size_t next = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] == '*') {
      name += rest;
    } else if (to[i] != '#') {
      name += to[i];
    } else {
      const bool increment = i + 1 < to.size() && to[i + 1] == '+';
      name += fmt::to_string(numbers[next++] + (increment ? 1 : 0));
      if (increment) ++i;
    }
  }
  return name;
}

// `name` under `rename`, where its pattern fits.
std::optional<std::string> renamed(const Rename& rename, std::string_view name) {
  std::vector<int64_t> numbers;
  size_t at = 0;
  for (const char c : rename.from) {
    if (c == '*') return substitute(rename.to, numbers, name.substr(at));
    if (c == '#') {
      int32_t number = 0;
      const char* end = name.data() + name.size();
      const auto [rest, error] = std::from_chars(name.data() + at, end, number);
      if (error != std::errc() || number < 0) return std::nullopt;
      numbers.push_back(number);
      at = static_cast<size_t>(rest - name.data());
    } else if (at < name.size() && name[at] == c) {
      ++at;
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;  // Every pattern ends in '*'.
}

// The same bytes as [O, I].
Tensor flattened(const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  if (shape.size() != 4) return tensor;
  const auto owner = std::make_shared<const Tensor>(tensor);
  return Tensor(tensor.dtype(), {shape[0], shape[1] * shape[2] * shape[3]}, owner->bytes(), owner);
}

void apply(std::span<const Rename> renames, Checkpoint& checkpoint) {
  for (NamedTensor& named : checkpoint.tensors) {
    for (const Rename& rename : renames) {
      std::optional<std::string> name = renamed(rename, named.name);
      if (!name) continue;
      named.name = std::move(*name);
      if (rename.flatten) named.tensor = flattened(named.tensor);
      break;
    }
  }
}

}  // namespace

Checkpoint unify_names(const Checkpoint& checkpoint) {
  Checkpoint unified = checkpoint;
  const auto has = [&](std::string_view name) {
    return std::ranges::find(checkpoint.tensors, name, &NamedTensor::name) !=
           checkpoint.tensors.end();
  };
  for (const Convention& convention : kConventions) {
    if (!has(convention.mark)) continue;
    apply(convention.renames, unified);
    break;
  }
  return unified;
}

Checkpoint canonical_names(const Checkpoint& checkpoint, const Architecture& architecture) {
  Checkpoint canonical = unify_names(checkpoint);
  if (architecture.family == Family::kCifarResNet) apply(kToCifar, canonical);
  if (architecture.family == Family::kResNet) apply(kToImageNet, canonical);
  return canonical;
}

}  // namespace caldera
