// Every operator on the device against the reference: each case with every kernel variant that
// takes it, memory poisoned before each run, ten runs to the same bits.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/test_hooks.h"
#include "tests/graph/ops/op_case.h"
#include "tests/graph/random_operands.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

constexpr double kTolerance = 1e-5;  // Relative L2.
constexpr int kRuns = 10;

using Floats = std::vector<float>;

void check_runs(Session& session, const std::vector<Floats>& inputs, const Floats& expected) {
  const std::vector<std::span<const float>> given(inputs.begin(), inputs.end());
  Floats first, output(expected.size());
  const std::span<float> outputs[] = {output};
  for (int run = 0; run < kRuns; ++run) {
    ASSERT_TRUE(poison_memory(session).ok());
    std::fill(output.begin(), output.end(), std::numeric_limits<float>::quiet_NaN());
    const Status done = session.run(given, outputs);
    ASSERT_TRUE(done.ok()) << done.error().message;
    if (run == 0) {
      first = output;
      ASSERT_LE(relative_l2(output, expected), kTolerance);
    }
    ASSERT_EQ(std::memcmp(output.data(), first.data(), output.size() * sizeof(float)), 0)
        << "run " << run << " differs from the first by " << relative_l2(output, first);
  }
}

// The variants of an operator: its name, or "<operator>_<variant>".
std::vector<std::string> variants_of(OpKind kind) {
  const std::string op(op_name(kind));
  std::vector<std::string> names = kernel_names();
  std::erase_if(names,
                [&](const std::string& name) { return name != op && !name.starts_with(op + "_"); });
  return names;
}

// Whether a session runs its first node by `variant`, or needs no dispatch for it.
bool takes(const Session& session, const std::string& variant) {
  const std::vector<std::string> kernels = session.kernels();
  return kernels.empty() || kernels[0].empty() || kernels[0] == variant;
}

// How many sessions each variant was tried on. Prints at the end what no case reached: variants
// that this device has no use for, or whose cases were filtered out.
class Coverage : public testing::Environment {
 public:
  static std::map<std::string, int>& taken() {
    static std::map<std::string, int> counts;
    return counts;
  }

 private:
  void TearDown() override {
    if (taken().empty()) return;  // No device.
    for (const std::string& name : kernel_names()) {
      if (!taken().contains(name)) std::printf("On no case: %s\n", name.c_str());
    }
  }
};

[[maybe_unused]] const testing::Environment* const kCoverage =
    testing::AddGlobalTestEnvironment(new Coverage);

// Calls check(session) on a session of every variant that takes the graph's first node.
template <typename Check>
void with_every_kernel(const Device& device, const Graph& graph, const Weights& weights,
                       const Check& check) {
  std::vector<std::string> variants = variants_of(graph.nodes[0].kind());
  if (variants.empty()) variants.emplace_back();  // Needs no kernel.
  int taken = 0;
  for (const std::string& variant : variants) {
    SCOPED_TRACE(variant);
    SessionOptions options{.fuse = false};
    if (!variant.empty()) options.kernels = {variant};
    auto session = Session::create(device, graph, weights, options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    if (!takes(*session, variant)) continue;
    check(*session);
    ++Coverage::taken()[variant];
    ++taken;
  }
  EXPECT_GT(taken, 0) << "no variant runs where it is asked for";
}

struct Operands {
  explicit Operands(const OpCase& test, const Graph& graph)
      : weights(random_weights(graph)), inputs(random_inputs(graph, 2, test.scale)) {
    if (test.edit) test.edit(inputs);
  }

  Weights weights;
  std::vector<Floats> inputs;
};

class EveryKernel : public testing::TestWithParam<OpCase> {};

void check_every_kernel(const Device& device, const OpCase& test) {
  ASSERT_EQ(test.graph.nodes.size(), 1u);
  const Operands operands(test, test.graph);
  const auto reference = run_reference(test.graph, operands.weights, operands.inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  with_every_kernel(device, test.graph, operands.weights, [&](Session& session) {
    check_runs(session, operands.inputs, (*reference)[test.graph.outputs[0]]);
  });
}

TEST_P(EveryKernel, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  check_every_kernel(device, GetParam());
}

// On the device channels come in fours, and consumers read the last four whole: what a kernel
// leaves beside its last channels must not reach them.
TEST_P(EveryKernel, FeedsAConsumer) {
  CALDERA_REQUIRE_DEVICE(device);
  Graph graph = GetParam().graph;
  ASSERT_EQ(graph.nodes.size(), 1u);
  const ValueId made = graph.nodes[0].output;
  const Shape shape = graph.value(made).shape;
  if (shape[1] % 4 == 0) return;  // Nothing beside.
  const bool image = shape.size() == 4;
  const auto append = [&](Value value) {
    graph.values.push_back(std::move(value));
    return static_cast<ValueId>(graph.values.size() - 1);
  };
  const ValueId weight = append({"consumer.weight", ValueRole::kParameter,
                                 image ? Shape{4, shape[1], 1, 1} : Shape{4, shape[1]}});
  const ValueId result =
      append({"consumer", ValueRole::kActivation,
              image ? Shape{shape[0], 4, shape[2], shape[3]} : Shape{shape[0], 4}, false,
              static_cast<NodeId>(1)});
  const Attrs attrs = image ? Attrs(Conv2dAttrs{}) : Attrs(LinearAttrs{.bias = false});
  graph.nodes.push_back({"consumer", attrs, {made, weight}, result});
  graph.outputs = {result};

  const Operands operands(GetParam(), graph);
  const auto reference = run_reference(graph, operands.weights, operands.inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  const Floats& expected = (*reference)[result];
  const std::vector<std::span<const float>> given(operands.inputs.begin(), operands.inputs.end());
  with_every_kernel(device, graph, operands.weights, [&](Session& session) {
    ASSERT_TRUE(poison_memory(session).ok());
    Floats output(expected.size());
    const std::span<float> outputs[] = {output};
    const Status done = session.run(given, outputs);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_LE(relative_l2(output, expected), kTolerance);
  });
}

class EveryKernelAtFullSize : public testing::TestWithParam<OpCase> {};

TEST_P(EveryKernelAtFullSize, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  // Subgroups of four: SwiftShader, which makes a GFLOP/s or two.
  if (device.info().subgroup_size < 8) {
    GTEST_SKIP() << "on smaller images only: this driver takes minutes for these";
  }
  check_every_kernel(device, GetParam());
}

// "3_max__1__64__112__112__k3x3": what GoogleTest allows in a name.
std::string test_name(const testing::TestParamInfo<OpCase>& test) {
  std::string name = std::to_string(test.index) + "_" + test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

#define CALDERA_CASES(label, suite, cases) \
  INSTANTIATE_TEST_SUITE_P(label, suite, testing::ValuesIn(cases), test_name)

CALDERA_CASES(ResNetConvolutions, EveryKernel, resnet_conv_cases());
CALDERA_CASES(ResNetConvolutions, EveryKernelAtFullSize, full_size_resnet_conv_cases());
CALDERA_CASES(OddConvolutions, EveryKernel, odd_conv_cases());
CALDERA_CASES(GroupedConvolutions, EveryKernel, grouped_conv_cases());
CALDERA_CASES(Pools, EveryKernel, pool_cases());
CALDERA_CASES(Pointwise, EveryKernel, pointwise_cases());
CALDERA_CASES(Rearranging, EveryKernel, rearranging_cases());
CALDERA_CASES(Linear, EveryKernel, linear_cases());

}  // namespace
}  // namespace caldera::test
