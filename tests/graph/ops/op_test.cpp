// Every operator on the device against the reference: each case with every kernel variant that
// takes it, in every precision that the device stores, memory poisoned before each run, ten runs to
// the same bits.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/kernel.h"
#include "graph/precision.h"
#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/ops/coverage.h"
#include "tests/graph/ops/op_case.h"
#include "tests/graph/ops/share.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/stored.h"
#include "tests/support/device.h"
#include "tests/support/sample.h"

namespace caldera::test {
namespace {

constexpr int kRuns = 10;

// Relative L2. Operands are rounded to the storage before the reference sees them, so what is left
// of a half is the result's own rounding: 2^-11 = 4.9e-4 of a value at most.
double tolerance(Precision precision) {
  return precision == Precision::kFp32 ? 1e-5 : 5e-4 * rounding_in_halves(precision);
}

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
      ASSERT_LE(relative_l2(output, expected), tolerance(session.precision()));
    }
    ASSERT_EQ(std::memcmp(output.data(), first.data(), output.size() * sizeof(float)), 0)
        << "run " << run << " differs from the first by " << relative_l2(output, first);
  }
}

std::vector<std::string> variants_of(OpKind kind) {
  std::vector<std::string> names;
  for (const KernelVariant& variant : kernel_variants(kind)) {
    if (variant.emit) names.emplace_back(variant.name);  // A view is no choice.
  }
  return names;
}

// Those to force on a case; in a sample those that it takes and that have not run yet.
std::vector<std::string> variants_to_run(const Device& device, const OpCase& test,
                                         Precision precision) {
  std::vector<std::string> names = variants_of(test.graph.nodes[0].kind());
  const Graph graph = stored(test.graph, storage_of(precision));
  const KernelContext context{device.impl().capabilities(), graph, graph.nodes[0]};
  std::set<std::string_view> taking;
  for (const KernelVariant& variant : kernel_variants(test.graph.nodes[0].kind())) {
    if (!variant.supported || variant.supported(context)) taking.insert(variant.name);
  }
  std::erase_if(names, [&](const std::string& name) {
    if (left_out(device, test, precision, name)) return true;
    return sampling() && (!taking.contains(name) || covered(test, precision, name));
  });
  return names;
}

#define SKIP_IF_COVERED(device, test, precision) \
  if (sampling() && variants_to_run(device, test, precision).empty()) CALDERA_SKIP_AS_COVERED()

// Whether a session runs its first node by `variant`, or needs no dispatch for it.
bool takes(const Session& session, const std::string& variant) {
  const std::vector<std::string> kernels = session.kernels();
  return kernels.empty() || kernels[0].empty() || kernels[0] == variant;
}

// Calls check(session) on a session of every variant that takes the graph's first node. `graph` is
// the case's, or begins with it.
template <typename Check>
void with_every_kernel(const Device& device, const OpCase& test, const Graph& graph,
                       const Weights& weights, Precision precision, const Check& check) {
  std::vector<std::string> variants = variants_to_run(device, test, precision);
  if (variants_of(graph.nodes[0].kind()).empty()) variants.emplace_back();  // Needs no kernel.
  int taken = 0;
  for (const std::string& variant : variants) {
    SCOPED_TRACE(variant);
    SessionOptions options{.fuse = false, .precision = precision};
    if (!variant.empty()) options.kernels = {variant};
    auto session = Session::create(device, graph, weights, options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    ASSERT_EQ(session->precision(), precision);
    if (!takes(*session, variant)) continue;
    check(*session);
    const std::vector<std::string> kernels = session->kernels();
    if (!kernels.empty() && !kernels[0].empty()) count_as_reached(variant, precision);
    count_as_covered(test, precision, variant);
    ++taken;
  }
  EXPECT_GT(taken, 0) << "no variant runs where it is asked for";
}

struct Operands {
  Operands(const OpCase& test, const Graph& graph, Precision precision)
      : weights(as_stored(random_weights(graph), precision)) {
    std::vector<Floats> given = random_inputs(graph, 2, test.scale);
    if (test.edit) test.edit(given);
    inputs = as_stored(std::move(given), precision);
  }

  Weights weights;
  std::vector<Floats> inputs;
};

// A case in one precision.
using OpParam = std::tuple<OpCase, Precision>;

class EveryKernel : public testing::TestWithParam<OpParam> {};

void check_every_kernel(const Device& device, const OpCase& test, Precision precision) {
  ASSERT_EQ(test.graph.nodes.size(), 1u);
  const Operands operands(test, test.graph, precision);
  const auto reference = run_reference(test.graph, operands.weights, operands.inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  with_every_kernel(device, test, test.graph, operands.weights, precision, [&](Session& session) {
    check_runs(session, operands.inputs, (*reference)[test.graph.outputs[0]]);
  });
}

// precision_test.cpp shows what a session makes of fp16 where it is skipped here.
#define REQUIRE_STORAGE(device, precision)                                      \
  if (supported_precision((device).info(), precision) != (precision)) {         \
    CALDERA_SKIP_UNLESS_KNOWN(driver_has_halves(),                              \
                              (device).info().name + " does not store 16 bits") \
  }

TEST_P(EveryKernel, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  const auto& [test, precision] = GetParam();
  REQUIRE_STORAGE(device, precision)
  SKIP_IF_COVERED(device, test, precision);
  check_every_kernel(device, test, precision);
}

// On the device channels come in whole vectors, which consumers read whole: what a kernel leaves
// beside its last channels must not reach them.
TEST_P(EveryKernel, FeedsAConsumer) {
  CALDERA_REQUIRE_DEVICE(device);
  const auto& [test, precision] = GetParam();
  REQUIRE_STORAGE(device, precision)
  SKIP_IF_COVERED(device, test, precision);
  Graph graph = test.graph;
  ASSERT_EQ(graph.nodes.size(), 1u);
  const ValueId made = graph.nodes[0].output();
  const Shape shape = graph.value(made).shape;
  // Nothing beside, or what no convolution or linear layer reads.
  if (shape[1] % 8 == 0 || shape[1] == 4 || graph.value(made).storage) return;
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
  graph.nodes.push_back({"consumer", attrs, {made, weight}, {result}});
  graph.outputs = {result};

  const Operands operands(test, graph, precision);
  const auto reference = run_reference(graph, operands.weights, operands.inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  const Floats& expected = (*reference)[result];
  const std::vector<std::span<const float>> given(operands.inputs.begin(), operands.inputs.end());
  with_every_kernel(device, test, graph, operands.weights, precision, [&](Session& session) {
    ASSERT_TRUE(poison_memory(session).ok());
    Floats output(expected.size());
    const std::span<float> outputs[] = {output};
    const Status done = session.run(given, outputs);
    ASSERT_TRUE(done.ok()) << done.error().message;
    // What passes between the two is rounded as well.
    EXPECT_LE(relative_l2(output, expected), 2 * tolerance(precision));
  });
}

class EveryKernelAtFullSize : public testing::TestWithParam<OpParam> {};

TEST_P(EveryKernelAtFullSize, MatchesTheReference) {
  CALDERA_REQUIRE_DEVICE(device);
  // Subgroups of four: SwiftShader, which makes a GFLOP/s or two.
  if (device.info().subgroup_size < 8) {
    CALDERA_SKIP_UNLESS_KNOWN(driver_has_subgroups_of_eight(),
                              "on smaller images only: this driver takes minutes for these")
  }
  const auto& [test, precision] = GetParam();
  SKIP_IF_COVERED(device, test, precision);
  check_every_kernel(device, test, precision);
}

// "3_max__1__64__112__112__k3x3_fp32": what GoogleTest allows in a name.
std::string test_name(const testing::TestParamInfo<OpParam>& info) {
  const auto& [test, precision] = info.param;
  std::string name = std::to_string(info.index) + "_" + test.name + "_";
  name += precision_name(precision);
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

// In fp32 and fp16 the driver's share; in bf16, which is other macros in the same shaders, every
// third of it and the first of each kind: coverage.cpp sees to it that each variant runs on some
// case.
std::vector<OpParam> in_each_precision(const std::vector<OpCase>& cases) {
  std::vector<OpParam> params;
  for (const OpCase& test : shared_out(cases)) params.emplace_back(test, Precision::kFp32);
  const std::vector<OpCase> in_halves = shared_out(cases, /*halves=*/true);
  std::set<std::string> kinds;
  for (size_t i = 0; i < in_halves.size(); ++i) {
    params.emplace_back(in_halves[i], Precision::kFp16);
    const bool first = kinds.insert(kind_of(in_halves[i])).second;
    if (first || i % 3 == 0) params.emplace_back(in_halves[i], Precision::kBf16);
  }
  return params;
}

// All of them on every driver.
std::vector<OpParam> everywhere(const std::vector<OpCase>& cases) {
  if (!runs_whole_share()) return in_each_precision(cases);
  std::vector<OpParam> params;
  for (const OpCase& test : cases) {
    for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16}) {
      params.emplace_back(test, precision);
    }
  }
  return params;
}

#define CALDERA_CASES(label, cases)                                                         \
  INSTANTIATE_TEST_SUITE_P(label, EveryKernel, testing::ValuesIn(in_each_precision(cases)), \
                           test_name)

CALDERA_CASES(ResNetConvolutions, resnet_conv_cases());
CALDERA_CASES(OddConvolutions, odd_conv_cases());
CALDERA_CASES(GroupedConvolutions, grouped_conv_cases());
CALDERA_CASES(Pools, pool_cases());
CALDERA_CASES(Pointwise, pointwise_cases());
CALDERA_CASES(Rearranging, rearranging_cases());
CALDERA_CASES(Linear, linear_cases());
// Drivers differ in what they make of a NaN.
INSTANTIATE_TEST_SUITE_P(NotANumber, EveryKernel, testing::ValuesIn(everywhere(nan_cases())),
                         test_name);

// Costly, and so in one precision: halves take no path here that smaller images do not take.
INSTANTIATE_TEST_SUITE_P(
    ResNetConvolutions, EveryKernelAtFullSize,
    testing::Combine(testing::ValuesIn(shared_out(full_size_resnet_conv_cases())),
                     testing::Values(Precision::kFp32)),
    test_name);

}  // namespace
}  // namespace caldera::test
