// Every operator on the device against the reference: each case with every kernel variant that
// takes it, memory poisoned before each run, ten runs to the same bits.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <limits>
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
    poison_memory(session);
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

// What runs a session's only node; empty where no dispatch is needed.
std::string kernel_of(const Session& session) {
  const std::vector<std::string> kernels = session.kernels();
  return kernels.empty() ? "" : kernels[0];
}

class EveryKernel : public testing::TestWithParam<OpCase> {};

void check_every_kernel(const Device& device, const OpCase& test) {
  ASSERT_EQ(test.graph.nodes.size(), 1u);
  const Weights weights = random_weights(test.graph);
  std::vector<Floats> inputs = random_inputs(test.graph, 2, test.scale);
  if (test.edit) test.edit(inputs);
  const auto reference = run_reference(test.graph, weights, inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  const Floats& expected = (*reference)[test.graph.outputs[0]];

  int taken = 0;
  for (const std::string& variant : variants_of(test.graph.nodes[0].kind())) {
    SCOPED_TRACE(variant);
    auto session =
        Session::create(device, test.graph, weights, {.fuse = false, .kernels = {variant}});
    ASSERT_TRUE(session.ok()) << session.error().message;
    if (kernel_of(*session) != variant) continue;  // It does not take this problem.
    check_runs(*session, inputs, expected);
    ++taken;
  }
  if (taken > 0) return;
  auto session = Session::create(device, test.graph, weights, {.fuse = false});
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(kernel_of(*session), "") << "runs, but not where it is asked for";
  check_runs(*session, inputs, expected);
}

TEST_P(EveryKernel, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  check_every_kernel(device, GetParam());
}

class EveryKernelAtFullSize : public testing::TestWithParam<OpCase> {};

TEST_P(EveryKernelAtFullSize, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  if (device.info().type == DeviceType::kCpu) {
    GTEST_SKIP() << "on smaller images only: a CPU driver takes minutes for these";
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
