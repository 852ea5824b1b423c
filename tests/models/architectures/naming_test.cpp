// Other libraries' names become the graph's, in place, with the same bytes.
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/architecture.h"

#include "tests/models/architectures/hollow.h"

namespace caldera {
namespace {

using test::hollow_checkpoint;
using test::hollow_tensor;
using test::names_of;
using test::renamed;

using Rules = std::vector<std::pair<const char*, const char*>>;

// The first rule that fits the whole name; "{n-1}" in a replacement has no place in a regex, so
// stages and layers are written out.
std::string by_rules(const Rules& rules, std::string name) {
  for (const auto& [from, to] : rules) {
    const std::regex pattern(from);
    if (std::regex_match(name, pattern)) return std::regex_replace(name, pattern, to);
  }
  return name;
}

const Rules kHuggingFace = {
    {R"(conv1\.(.*))", "resnet.embedder.embedder.convolution.$1"},
    {R"(bn1\.(.*))", "resnet.embedder.embedder.normalization.$1"},
    {R"(fc\.(.*))", "classifier.1.$1"},
    {R"(layer1\.(.*))", "0.$1"},
    {R"(layer2\.(.*))", "1.$1"},
    {R"(layer3\.(.*))", "2.$1"},
    {R"(layer4\.(.*))", "3.$1"},
};
const Rules kHuggingFaceBlocks = {
    {R"((\d)\.(\d+)\.downsample\.0\.(.*))",
     "resnet.encoder.stages.$1.layers.$2.shortcut.convolution.$3"},
    {R"((\d)\.(\d+)\.downsample\.1\.(.*))",
     "resnet.encoder.stages.$1.layers.$2.shortcut.normalization.$3"},
    {R"((\d)\.(\d+)\.conv1\.(.*))", "resnet.encoder.stages.$1.layers.$2.layer.0.convolution.$3"},
    {R"((\d)\.(\d+)\.conv2\.(.*))", "resnet.encoder.stages.$1.layers.$2.layer.1.convolution.$3"},
    {R"((\d)\.(\d+)\.conv3\.(.*))", "resnet.encoder.stages.$1.layers.$2.layer.2.convolution.$3"},
    {R"((\d)\.(\d+)\.bn1\.(.*))", "resnet.encoder.stages.$1.layers.$2.layer.0.normalization.$3"},
    {R"((\d)\.(\d+)\.bn2\.(.*))", "resnet.encoder.stages.$1.layers.$2.layer.1.normalization.$3"},
    {R"((\d)\.(\d+)\.bn3\.(.*))", "resnet.encoder.stages.$1.layers.$2.layer.2.normalization.$3"},
};

struct Case {
  Architecture architecture;
  Graph graph;
  Checkpoint canonical;
};

Case make(std::string_view name) {
  Architecture architecture = find_architecture(name).value();
  Graph graph = build_graph(architecture, 1).value();
  Checkpoint canonical = hollow_checkpoint(graph);
  return {std::move(architecture), std::move(graph), std::move(canonical)};
}

// `given` becomes `c.canonical`'s names, over the bytes that it had, and binds; and its
// architecture is found without being named.
void expect_canonical(const Case& c, const Checkpoint& given) {
  const Checkpoint canonical = canonical_names(given, c.architecture);
  EXPECT_EQ(names_of(canonical), names_of(c.canonical));
  for (size_t i = 0; i < given.tensors.size(); ++i) {
    EXPECT_EQ(canonical.tensors[i].tensor.bytes().data(), given.tensors[i].tensor.bytes().data());
    EXPECT_EQ(canonical.tensors[i].tensor.dtype(), given.tensors[i].tensor.dtype());
  }
  const auto weights = bind_weights(c.graph, canonical);
  EXPECT_TRUE(weights.ok()) << weights.error().message;
  const auto inferred = infer_architecture(given);
  ASSERT_TRUE(inferred.ok()) << inferred.error().message;
  EXPECT_EQ(inferred->full_name(), c.architecture.full_name());
}

TEST(Naming, OwnNamesStay) {
  for (const char* name : {"resnet18", "cifar_resnet20", "vgg11_bn", "preact_resnet50"}) {
    const Case c = make(name);
    expect_canonical(c, c.canonical);
  }
}

TEST(Naming, HuggingFaceResNets) {
  for (const char* name : {"resnet18", "resnet50:classes=5"}) {
    const Case c = make(name);
    const Checkpoint given = renamed(c.canonical, [](std::string old) {
      return by_rules(kHuggingFaceBlocks, by_rules(kHuggingFace, std::move(old)));
    });
    EXPECT_EQ(given.tensors.front().name, "resnet.embedder.embedder.convolution.weight");
    EXPECT_NE(given.find("resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"), nullptr);
    EXPECT_NE(given.find("resnet.encoder.stages.3.layers.1.layer.1.normalization.running_var"),
              nullptr);
    expect_canonical(c, given);
  }
}

TEST(Naming, TimmVggConvolutionsBecomeLinear) {
  for (const char* name : {"vgg16", "vgg13_bn:classes=3"}) {
    const Case c = make(name);
    Checkpoint given = renamed(c.canonical, [](std::string old) {
      return by_rules({{R"(classifier\.0\.(.*))", "pre_logits.fc1.$1"},
                       {R"(classifier\.3\.(.*))", "pre_logits.fc2.$1"},
                       {R"(classifier\.6\.(.*))", "head.fc.$1"}},
                      std::move(old));
    });
    for (NamedTensor& named : given.tensors) {
      if (named.name == "pre_logits.fc1.weight") named.tensor = hollow_tensor({4096, 512, 7, 7});
      if (named.name == "pre_logits.fc2.weight") named.tensor = hollow_tensor({4096, 4096, 1, 1});
    }
    expect_canonical(c, given);
  }
}

TEST(Naming, TimmPreActivationNets) {
  const Case c = make("preact_resnet50");
  Checkpoint given = renamed(c.canonical, [](std::string old) {
    old = by_rules({{R"(conv1\.(.*))", "stem.conv.$1"},
                    {R"(bn\.(.*))", "norm.$1"},
                    {R"(fc\.(.*))", "head.fc.$1"},
                    {R"(layer1\.(.*))", "0.$1"},
                    {R"(layer2\.(.*))", "1.$1"},
                    {R"(layer3\.(.*))", "2.$1"},
                    {R"(layer4\.(.*))", "3.$1"}},
                   std::move(old));
    return by_rules(
        {{R"((\d)\.(\d+)\.bn(.*))", "stages.$1.blocks.$2.norm$3"},
         {R"((\d)\.(\d+)\.downsample\.0\.(.*))", "stages.$1.blocks.$2.downsample.conv.$3"},
         {R"((\d)\.(\d+)\.(.*))", "stages.$1.blocks.$2.$3"}},
        std::move(old));
  });
  for (NamedTensor& named : given.tensors) {
    if (named.name == "head.fc.weight") named.tensor = hollow_tensor({1000, 2048, 1, 1});
  }
  EXPECT_NE(given.find("stages.3.blocks.2.norm3.weight"), nullptr);
  expect_canonical(c, given);
}

TEST(Naming, CifarNetsNamedAsTorchvisionNamesThem) {
  const Case c = make("cifar_resnet32:shortcut=b,classes=100");
  expect_canonical(c, renamed(c.canonical, [](std::string old) {
                     return by_rules({{R"(linear\.(.*))", "fc.$1"},
                                      {R"((.*)\.shortcut\.(.*))", "$1.downsample.$2"}},
                                     std::move(old));
                   }));
}

TEST(Naming, UnknownNamesAreKept) {
  Checkpoint checkpoint;
  for (const char* name : {"conv1.weight", "", "#", "layer1", "layer1.", "layer1.x.conv1.weight",
                           "layer99999999999999999999.0.shortcut.0.weight", "resnet.encoder."})
    checkpoint.tensors.push_back({name, hollow_tensor({1})});
  for (const char* name : {"resnet18", "cifar_resnet20", "vgg11"}) {
    const Checkpoint same = canonical_names(checkpoint, find_architecture(name).value());
    EXPECT_EQ(names_of(same), names_of(checkpoint));
  }
}

}  // namespace
}  // namespace caldera
