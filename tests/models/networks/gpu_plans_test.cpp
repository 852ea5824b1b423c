// Every network as it is planned for a GPU, on whatever device there is: against the reference, and
// cut into parts of a workgroup each, a submit a part, to the same bits. Drivers on a CPU choose
// other kernels for themselves, and no GPU's watchdog is theirs, so nothing else runs these there.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "caldera/architecture.h"
#include "caldera/autodiff.h"
#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/training_run.h"
#include "tests/support/device.h"
#include "tests/support/require.h"
#include "tests/support/same_bits.h"
#include "tests/support/share.h"

namespace caldera::test {
namespace {

using Floats = std::vector<float>;

// Uniform with the variance of He et al.'s, and batch-norms to which the images are calibrated: the
// logits of a net of any depth are numbers that depend on every layer.
Weights weights_of(const Graph& graph) {
  Weights weights = random_weights(graph);
  for (auto& [name, tensor] : weights) {
    if (tensor.shape().size() < 2) continue;
    const int64_t fan_in = element_count(tensor.shape()) / tensor.shape()[0];
    const float scale = std::sqrt(6.0f / static_cast<float>(fan_in));
    Floats values(tensor.floats().begin(), tensor.floats().end());
    for (float& value : values) value *= scale;
    tensor = Tensor::from_floats(tensor.shape(), values);
  }
  const bool calibrates = std::ranges::any_of(
      graph.nodes, [](const Node& node) { return node.kind() == OpKind::kBatchNorm; });
  return calibrates ? calibrate_batch_norm(graph, std::move(weights), 1) : weights;
}

// A dispatch's row or two of workgroups is the least that shows a cut, so images are small.
Graph small_graph(const std::string& name, int64_t batch) {
  const Architecture net = find_architecture(name).value();
  const bool deep = name.ends_with("1202") || name.ends_with("1001");
  const int32_t side = deep ? 8 : net.family == Family::kCifarResNet ? 16 : 32;
  return build_graph(net, batch, {side, side}).value();
}

// A device that no other test has measured: what its work is cut by is set here. Without
// validation, which would look at thousands of submits; graph_slicing_test cuts under it.
class GpuPlans : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    auto opened = open_without_validation();
    if (opened.ok()) device_ = std::move(opened).value();
  }
  static void TearDownTestSuite() { device_.reset(); }

  static void cut_nothing() { device_->impl().set_pace(1e-18); }
  static void cut_all() { device_->impl().set_pace(1e6); }
  static Capabilities gpu() {
    Capabilities limits = device_->impl().capabilities();
    limits.cpu = false;
    return limits;
  }
  static bool halves() { return device_->info().fp16; }

  static std::optional<Device> device_;
};

std::optional<Device> GpuPlans::device_;

TEST_P(GpuPlans, GiveTheReferencesLogitsAndTheSameBitsInParts) {
  CALDERA_REQUIRE_DEVICE(validated);
  ASSERT_TRUE(device_);
  const Graph graph = small_graph(GetParam(), 1);
  const Weights weights = weights_of(graph);
  const auto inputs = random_inputs(graph);
  const auto reference = run_reference(graph, weights, inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  const Floats& expected = (*reference)[graph.outputs[0]];
  for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
    if (precision == Precision::kFp16 && !halves()) continue;
    SCOPED_TRACE(precision_name(precision));
    cut_nothing();
    auto whole = create_session_within(gpu(), *device_, graph, weights, {.precision = precision});
    ASSERT_TRUE(whole.ok()) << whole.error().message;
    cut_all();
    auto cut = whole->fork();
    ASSERT_TRUE(cut.ok()) << cut.error().message;
    EXPECT_EQ(whole->stats().submits, 1u);
    // A small layer may be one workgroup of a large tile, which is not cut.
    EXPECT_GT(cut->stats().submits, whole->stats().dispatches);
    Floats logits(expected.size()), in_parts(expected.size());
    ASSERT_TRUE(poison_memory(*whole).ok() && whole->run(inputs[0], logits).ok());
    ASSERT_TRUE(poison_memory(*cut).ok() && cut->run(inputs[0], in_parts).ok());
    const bool deep = graph.nodes.size() > 600;
    const double tolerance =
        precision == Precision::kFp16 ? (deep ? 5e-2 : 1e-2) : (deep ? 1e-3 : 1e-4);
    EXPECT_LT(relative_l2(logits, expected), tolerance);
    EXPECT_TRUE(same_bits(logits, in_parts)) << relative_l2(in_parts, logits);
  }
}

// Each on one of CI's drivers that has halves. SwiftShader, which has none and takes minutes for
// what lavapipe runs in seconds, trains the networks below.
std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  if (driver() == "swiftshader") return names;
  for (const ArchitectureEntry& entry : list_architectures()) {
    if (is_in_share(entry.name, /*halves=*/true)) names.push_back(entry.name);
  }
  return names;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GpuPlans);
INSTANTIATE_TEST_SUITE_P(Architectures, GpuPlans, testing::ValuesIn(architecture_names()),
                         [](const auto& test) { return test.param; });

// What a step adds in place would be added twice by a part that begins too early.
class GpuTrainingPlans : public GpuPlans {};

TEST_P(GpuTrainingPlans, GiveTheSameStatesInParts) {
  CALDERA_REQUIRE_DEVICE(validated);
  ASSERT_TRUE(device_);
  const Graph forward = build_graph(find_architecture(GetParam()).value(), 2, {8, 8}).value();
  TrainingSpec spec;
  spec.optimizer.momentum = 0.9f;
  const Graph graph = make_training_graph(forward, spec).value().graph;
  const Weights weights = weights_of(forward);
  auto inputs = random_inputs(forward);
  inputs.push_back(one_hot_targets(forward.value(forward.outputs[0]).shape));
  inputs.push_back(step_scalars(1));
  const std::vector<std::span<const float>> given(inputs.begin(), inputs.end());
  for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
    if (precision == Precision::kFp16 && !halves()) continue;
    SCOPED_TRACE(precision_name(precision));
    std::optional<Weights> states;
    for (const bool cut : {false, true}) {
      cut ? cut_all() : cut_nothing();
      auto session =
          create_session_within(gpu(), *device_, graph, weights, {.precision = precision});
      ASSERT_TRUE(session.ok()) << session.error().message;
      EXPECT_EQ(session->stats().submits > session->stats().dispatches / 2, cut);
      std::vector<Floats> outputs;
      for (const ValueId id : graph.outputs) {
        outputs.emplace_back(static_cast<size_t>(element_count(graph.value(id).shape)));
      }
      const std::vector<std::span<float>> results(outputs.begin(), outputs.end());
      const Status ran = session->run(given, results);
      ASSERT_TRUE(ran.ok()) << ran.error().message;
      Weights after = session->states().value();
      if (states) {
        for (const auto& [name, tensor] : after) {
          EXPECT_TRUE(same_bits(tensor.floats(), states->at(name).floats())) << name;
        }
      }
      states = std::move(after);
    }
    // The step was not skipped.
    const Value& weight = graph.value(graph.nodes[0].inputs[1]);
    EXPECT_FALSE(same_bits(states->at(weight.name).floats(), weights.at(weight.name).floats()));
  }
}

// They have few parameters: the optimizer alone would cut ResNet-50's into a hundred thousand
// parts.
INSTANTIATE_TEST_SUITE_P(Networks, GpuTrainingPlans,
                         testing::Values("cifar_resnet20", "cifar_preact_resnet29:block=bottleneck",
                                         "cifar_plain20"),
                         [](const auto& test) {
                           return test.param.substr(0, test.param.find(':'));
                         });

}  // namespace
}  // namespace caldera::test
