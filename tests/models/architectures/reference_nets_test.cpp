// Graphs against PyTorch's modules (reference_nets.py): the same parameters by name, order and
// shape, the same multiply-adds, and checkpoints of all kinds that bind.
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include <gtest/gtest.h>

#include "caldera/architecture.h"
#include "caldera/npy.h"
#include "caldera/reference.h"

#include "tests/support/require.h"

namespace caldera {
namespace {

using Json = nlohmann::ordered_json;

std::filesystem::path folder() {
  const char* given = std::getenv("CALDERA_REFERENCE_NETS");
  return given ? given : "";
}

Json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return file ? Json::parse(file) : Json();
}

#define REQUIRE_NETS()                     \
  if (!exists(folder() / "manifest.json")) \
  CALDERA_SKIP_UNLESS_REQUIRED("reference_nets.py has not run")

TEST(ReferenceNets, GraphsHavePyTorchsParameters) {
  REQUIRE_NETS()
  const Json nets = read_json(folder() / "architectures.json");
  ASSERT_GT(nets.size(), 50u);
  for (const Json& net : nets) {
    const auto name = net["name"].get<std::string>();
    const auto architecture = find_architecture(name);
    ASSERT_TRUE(architecture.ok()) << architecture.error().message;
    const auto graph = build_graph(*architecture, 1);
    ASSERT_TRUE(graph.ok()) << graph.error().message;

    std::map<std::string, Shape> expected, actual;
    for (const auto& [tensor, shape] : net["tensors"].items()) {
      if (!tensor.ends_with("num_batches_tracked")) expected[tensor] = shape.get<Shape>();
    }
    for (const Value& value : graph->values) {
      if (value.role == ValueRole::kParameter || value.role == ValueRole::kState)
        actual[value.name] = value.shape;
    }
    EXPECT_EQ(actual, expected) << name;
    EXPECT_EQ(parameter_count(*graph), net["parameters"].get<int64_t>()) << name;
    EXPECT_EQ(multiply_adds(*graph), net["multiply_adds"].get<int64_t>()) << name;
  }
}

TEST(ReferenceNets, CoverEveryFamilyMember) {
  REQUIRE_NETS()
  std::set<std::string> described;
  for (const Json& net : read_json(folder() / "architectures.json"))
    described.insert(net["name"].get<std::string>());
  for (const ArchitectureEntry& entry : list_architectures())
    EXPECT_TRUE(described.contains(entry.name)) << entry.name;
}

// What a checkpoint does not tell of an architecture, taken as inference takes it.
std::string as_inferred(Architecture a) {
  Architecture plain = a;
  plain.stride_on_first = false;
  if (a.shortcut == Shortcut::kNone) {
    const size_t at = plain.name.find("plain");
    plain.name.replace(at, 5, "resnet");
    plain.shortcut = Shortcut::kZeroPad;
  }
  plain.zero_channels =
      a.family == Family::kCifarResNet ? ZeroChannels::kCentered : ZeroChannels::kEnd;
  return plain.full_name();
}

TEST(ReferenceNets, CheckpointsBindAndTellTheirArchitecture) {
  REQUIRE_NETS()
  const Json cases = read_json(folder() / "manifest.json")["cases"];
  ASSERT_GT(cases.size(), 40u);
  for (const Json& net : cases) {
    const auto name = net["name"].get<std::string>();
    const auto checkpoint = read_checkpoint(folder() / net["file"].get<std::string>());
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const Architecture architecture =
        find_architecture(net["architecture"].get<std::string>()).value();
    EXPECT_EQ(architecture.full_name(), net["architecture"].get<std::string>());

    const auto inferred = infer_architecture(*checkpoint);
    ASSERT_TRUE(inferred.ok()) << name << ": " << inferred.error().message;
    EXPECT_EQ(inferred->full_name(), as_inferred(architecture)) << name;

    const Size2d size{net["height"].get<int32_t>(), net["width"].get<int32_t>()};
    const auto batch = net["batch"].get<int64_t>();
    const auto graph = build_graph(architecture, batch, size);
    ASSERT_TRUE(graph.ok()) << graph.error().message;
    const auto weights = bind_weights(*graph, canonical_names(*checkpoint, architecture));
    EXPECT_TRUE(weights.ok()) << name << ": " << weights.error().message;

    const auto input = read_npy(folder() / net["input"].get<std::string>());
    const auto logits = read_npy(folder() / net["logits"].get<std::string>());
    ASSERT_TRUE(input.ok() && logits.ok()) << name;
    EXPECT_EQ(input->shape(), graph->value(graph->inputs[0]).shape) << name;
    EXPECT_EQ(logits->shape(), graph->value(graph->outputs[0]).shape) << name;
  }
}

std::vector<float> read_floats(const std::filesystem::path& path) {
  const Tensor tensor = read_npy(path).value();
  return {tensor.floats().begin(), tensor.floats().end()};
}

// The logits of a case's checkpoint and input, under `architecture`, against PyTorch's.
double logits_error(const Json& net, const Architecture& architecture) {
  const Checkpoint checkpoint = read_checkpoint(folder() / net["file"].get<std::string>()).value();
  const Size2d size{net["height"].get<int32_t>(), net["width"].get<int32_t>()};
  const Graph graph = build_graph(architecture, net["batch"].get<int64_t>(), size).value();
  const Weights weights = bind_weights(graph, canonical_names(checkpoint, architecture)).value();
  const auto values =
      run_reference(graph, weights, {read_floats(folder() / net["input"].get<std::string>())});
  return relative_l2(values.value()[graph.outputs[0]],
                     read_floats(folder() / net["logits"].get<std::string>()));
}

// Those that the reference's plain loops do in a moment; devices do them all.
std::vector<Json> small_cases() {
  std::vector<Json> cases;
  const Json manifest = read_json(folder() / "manifest.json");
  for (const Json& net : manifest["cases"]) {
    const Architecture a = find_architecture(net["architecture"].get<std::string>()).value();
    const Size2d size{net["height"].get<int32_t>(), net["width"].get<int32_t>()};
    const Graph graph = build_graph(a, net["batch"].get<int64_t>(), size).value();
    if (multiply_adds(graph) < 200'000'000) cases.push_back(net);
  }
  return cases;
}

TEST(ReferenceNets, LogitsArePyTorchs) {
  REQUIRE_NETS()
  const auto cases = small_cases();
  ASSERT_GT(cases.size(), 12u);
  for (const Json& net : cases) {
    const auto name = net["architecture"].get<std::string>();
    EXPECT_LT(logits_error(net, find_architecture(name).value()), 1e-5) << name;
  }
}

// That the test above can fail: a net of the same tensors which is not the same net.
TEST(ReferenceNets, LogitsTellVariantsOfTheSameShapesApart) {
  REQUIRE_NETS()
  int variants = 0;
  for (const Json& net : small_cases()) {
    const auto name = net["architecture"].get<std::string>();
    const std::string other = as_inferred(find_architecture(name).value());
    if (other == name) continue;
    ++variants;
    EXPECT_GT(logits_error(net, find_architecture(other).value()), 1e-2) << name;
  }
  EXPECT_GE(variants, 5);
}

}  // namespace
}  // namespace caldera
