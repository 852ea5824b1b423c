// What names and shapes tell of an architecture, and what they cannot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/architecture.h"

#include "tests/models/architectures/hollow.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using test::hollow_checkpoint;
using test::hollow_tensor;
using ::testing::HasSubstr;

Checkpoint checkpoint_of(std::string_view name) {
  return hollow_checkpoint(build_graph(find_architecture(name).value(), 1).value());
}

std::string inferred(const Checkpoint& checkpoint) {
  const auto architecture = infer_architecture(checkpoint);
  return architecture.ok() ? architecture->full_name() : architecture.error().message;
}

TEST(Infer, TellsEveryMemberByItsTensors) {
  for (const ArchitectureEntry& entry : list_architectures()) {
    if (entry.name.find("plain") != std::string::npos) continue;
    EXPECT_EQ(inferred(checkpoint_of(entry.name)), entry.name);
  }
}

TEST(Infer, TellsParametersThatHaveShapes) {
  for (const char* name : {
           "resnet18:classes=2,channels=1",
           "resnet34:shortcut=a",
           "resnet34:shortcut=c",
           "resnet50:shortcut=a",
           "resnet50:shortcut=c",
           "preact_resnet18:shortcut=c",
           "resnet50:layers=2-2-2-2",
           "resnext50_32x4d:classes=10",
           "cifar_resnet20:classes=100",
           "cifar_resnet20:shortcut=b",
           "cifar_resnet20:shortcut=c",
           "cifar_resnet74",
           "cifar_resnet29:block=bottleneck",
           "cifar_preact_resnet164:block=basic",
           "vgg16:classes=3,channels=1",
       }) {
    EXPECT_EQ(inferred(checkpoint_of(name)), name);
  }
}

TEST(Infer, TakesTheUsualNetWhereShapesAgree) {
  EXPECT_EQ(inferred(checkpoint_of("resnet50:stride=first")), "resnet50");
  EXPECT_EQ(inferred(checkpoint_of("cifar_resnet20:zeros=end")), "cifar_resnet20");
  EXPECT_EQ(inferred(checkpoint_of("cifar_plain20")), "cifar_resnet20");
  EXPECT_EQ(inferred(checkpoint_of("plain34")), "resnet34:shortcut=a");
  EXPECT_EQ(inferred(checkpoint_of("resnet50:groups=32,width=4")), "resnext50_32x4d");
  EXPECT_EQ(inferred(checkpoint_of("resnet18:input=64")), "resnet18");
}

TEST(Infer, TellsTrainedCheckpoints) {
  CALDERA_REQUIRE_DATA(data);
  const std::pair<const char*, const char*> files[] = {
      {"resnet20-12fca82f.th", "cifar_resnet20"},
      {"resnet44-014dd654.th", "cifar_resnet44"},
      {"resnet56-4bfd9763.th", "cifar_resnet56"},
  };
  for (const auto& [file, name] : files) {
    const auto checkpoint = read_checkpoint(data / "checkpoints" / file);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const auto architecture = infer_architecture(*checkpoint);
    ASSERT_TRUE(architecture.ok()) << architecture.error().message;
    EXPECT_EQ(architecture->full_name(), name);
    const Graph graph = build_graph(*architecture, 1).value();
    const auto weights = bind_weights(graph, canonical_names(*checkpoint, *architecture));
    EXPECT_TRUE(weights.ok()) << weights.error().message;
  }
}

TEST(Infer, SaysWhyItCannotTell) {
  EXPECT_THAT(inferred({}), HasSubstr("there are none"));

  Checkpoint other;
  other.tensors = {{"encoder.weight", hollow_tensor({4, 4})}};
  EXPECT_THAT(inferred(other), HasSubstr("names such as 'encoder.weight'"));

  Checkpoint small_stem = checkpoint_of("resnet18");
  small_stem.tensors[0].tensor = hollow_tensor({64, 3, 3, 3});
  EXPECT_THAT(inferred(small_stem), HasSubstr("its stem is [64, 3, 3, 3]"));

  Checkpoint short_net = checkpoint_of("resnet18");
  std::erase_if(short_net.tensors,
                [](const NamedTensor& named) { return named.name.starts_with("layer4"); });
  EXPECT_THAT(inferred(short_net), HasSubstr("stages number 3, not 4"));

  // One tensor too few is told when weights are bound, with all others.
  Checkpoint lacking = checkpoint_of("resnet18");
  std::erase_if(lacking.tensors,
                [](const NamedTensor& named) { return named.name == "layer2.0.conv1.weight"; });
  EXPECT_EQ(infer_architecture(lacking).value().full_name(), "resnet18");

  Checkpoint other_vgg = checkpoint_of("vgg11");
  other_vgg.tensors[0].tensor = hollow_tensor({32, 3, 3, 3});
  EXPECT_THAT(inferred(other_vgg), HasSubstr("none of A, B, D or E"));
}

// Names and shapes come from files: whatever they are, the answer is a value.
TEST(Infer, BearsAbsurdShapes) {
  const Shape shapes[] = {{}, {0}, {0, 0, 0, 0}, {1, 1, 1, 1}, {64, 3, 7, 0}, {3, 64, 1, 1}};
  for (const char* name : {"resnet50", "cifar_resnet20", "vgg11_bn", "preact_resnet18"}) {
    const Checkpoint whole = checkpoint_of(name);
    for (const Shape& shape : shapes) {
      for (size_t i = 0; i < std::min<size_t>(whole.tensors.size(), 40); ++i) {
        // Counters are not needed, so that they may be anything.
        const NamedTensor& old = whole.tensors[i];
        if (old.tensor.shape() == shape || old.name.ends_with("num_batches_tracked")) continue;
        Checkpoint damaged = whole;
        damaged.tensors[i].tensor = hollow_tensor(shape);
        const auto architecture = infer_architecture(damaged);
        if (!architecture.ok()) continue;
        const auto graph = build_graph(*architecture, 1);
        if (!graph.ok()) continue;
        EXPECT_FALSE(bind_weights(*graph, canonical_names(damaged, *architecture)).ok())
            << name << ": " << old.name << " as " << to_string(shape);
      }
    }
  }
}

}  // namespace
}  // namespace caldera
