// Network architectures by name and by parameters. A name is a family member, with parameters
// after a colon: "resnet50", "resnet34:shortcut=c", "cifar_resnet20:classes=100",
// "resnet50:stride=first,input=64". The names of parameters in the graph are torchvision's (and
// pytorch_resnet_cifar10's for the CIFAR nets), so that a state_dict binds by name.
//
// Parameters of all families: classes=N, input=N or HxW, channels=N (of the input). Of residual
// families: shortcut=a|b|c|none, zeros=end|centered (for a), stride=first|3x3 (of a bottleneck:
// the paper's, torchvision's), layers=3-4-6-3 (blocks a stage), block=basic|bottleneck, groups=N
// and width=N (of bottlenecks).
//
// Pre-activation nets have no torchvision model and are named alike: layer1.0.bn1, conv1, bn2,
// conv2 (, bn3, conv3) in the order in which they run, downsample.0 (CIFAR: shortcut.0) for a
// projection, which takes the activated input and has no batch-norm, and "bn" before the pooling.
//
// Sources: He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385 (ResNet,
// plain, shortcuts A, B, C, CIFAR nets); He et al., "Identity Mappings in Deep Residual Networks",
// arXiv 1603.05027 (pre-activation); Xie et al., arXiv 1611.05431 (ResNeXt); Zagoruyko and
// Komodakis, arXiv 1605.07146 (Wide ResNet); Simonyan and Zisserman, arXiv 1409.1556 (VGG).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/checkpoint.h"
#include "caldera/graph.h"
#include "caldera/result.h"

namespace caldera {

enum class Family : uint8_t { kResNet, kCifarResNet, kVgg };
enum class BlockKind : uint8_t { kBasic, kBottleneck };
// What joins a block's input to its output where the shapes differ.
enum class Shortcut : uint8_t {
  kNone,        // No shortcut anywhere: a plain net.
  kZeroPad,     // A: every second pixel, zeros for the new channels.
  kProject,     // B: a 1x1 convolution where the shape changes, else the identity.
  kProjectAll,  // C: a 1x1 convolution everywhere.
};
// Where A's zeros stand.
enum class ZeroChannels : uint8_t {
  kEnd,       // After the old channels, as in the paper.
  kCentered,  // Half on each side, as in pytorch_resnet_cifar10.
};

struct Architecture {
  std::string name;  // "resnet50": of the family member, without parameters.
  Family family = Family::kResNet;
  int64_t classes = 1000;
  int64_t input_channels = 3;
  Size2d input{224, 224};  // The default size; graphs of other sizes may be built.

  // Residual families.
  BlockKind block = BlockKind::kBasic;
  std::vector<int32_t> layers;  // Blocks a stage.
  Shortcut shortcut = Shortcut::kProject;
  ZeroChannels zero_channels = ZeroChannels::kEnd;
  bool stride_on_first = false;  // Bottlenecks: stride on the first 1x1 (paper), else on the 3x3.
  bool preactivation = false;
  int32_t groups = 1;            // ResNeXt's cardinality.
  int32_t width_per_group = 64;  // 4 in "32x4d"; 128 in Wide ResNet-50-2.

  // VGG: convolution widths, 0 for a max-pool.
  std::vector<int32_t> vgg_layers;
  bool vgg_batch_norm = false;

  // The name with those parameters that differ from the family member's: finds this again.
  std::string full_name() const;
};

// From a full name. An unknown one is an error that names the nearest.
Result<Architecture> find_architecture(std::string_view full_name);

struct ArchitectureEntry {
  std::string name;
  std::string description;
};
// Every family member, in the order of the families; CIFAR depths beyond those listed, as 6n+2.
std::vector<ArchitectureEntry> list_architectures();

// The graph that maps [batch, channels, height, width] to logits [batch, classes].
Result<Graph> build_graph(const Architecture& architecture, int64_t batch, Size2d input);
Result<Graph> build_graph(const Architecture& architecture, int64_t batch);

// Random weights for every parameter and state of a graph: He et al.'s normal initialisation
// (arXiv 1502.01852; fan-out for convolutions, fan-in for linear layers), batch-norm at one and
// zero, biases at zero. The same seed gives the same bits on every machine, tensor by tensor name.
Weights initial_weights(const Graph& graph, uint64_t seed);

// `weights` with every batch-norm's running variance set to the mean square of its input for random
// images, computed on the CPU. Untrained nets then keep the scale of their activations at any
// depth, where a variance of 1 lets a residual net of a thousand layers overflow.
Weights calibrate_batch_norm(const Graph& graph, Weights weights, uint64_t seed);

// The architecture that a checkpoint's names and shapes tell, in any of the conventions known
// (torchvision, pytorch_resnet_cifar10, timm, Hugging Face). Where they fit several nets of one
// shape, the usual one is taken: stride on the 3x3, zeros where the family has them, and the
// residual net of option A rather than the plain net, whose tensors are the same.
Result<Architecture> infer_architecture(const Checkpoint& checkpoint);

// The checkpoint with its names as `architecture`'s graph has them, from any of the conventions.
// `checkpoint.tensors` keeps its order; what is not known keeps its name.
Checkpoint canonical_names(const Checkpoint& checkpoint, const Architecture& architecture);

// The weights that `graph` needs, or one error that lists every tensor that is missing, unexpected
// or of another shape. num_batches_tracked may be there or not.
Result<Weights> bind_weights(const Graph& graph, const Checkpoint& checkpoint);

}  // namespace caldera
