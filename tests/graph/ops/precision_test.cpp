// What a session makes of fp16 and bf16: it stores them where the device can; elsewhere floats, and
// it says so. Where op_test.cpp skips a precision, this still runs. And layers in full precision.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <gmock/gmock.h>

#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/half.h"
#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/ops/coverage.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_net.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

class AskedFor : public testing::TestWithParam<Precision> {
 protected:
  std::vector<float> run(Result<Session>& session) {
    std::vector<float> logits(expected().size());
    EXPECT_TRUE(poison_memory(*session).ok());
    const Status done = session->run(inputs_[0], logits);
    EXPECT_TRUE(done.ok()) << done.error().message;
    return logits;
  }

  std::vector<float> expected() {
    return run_reference(graph_, weights_, inputs_).value()[graph_.outputs[0]];
  }

  const Graph graph_ = small_net(3);
  const Weights weights_ = random_weights(graph_);
  const std::vector<std::vector<float>> inputs_ = random_inputs(graph_);
  const SessionOptions options_{.precision = GetParam()};
};

TEST_P(AskedFor, ASessionTellsWhetherTheDeviceStoresIt) {
  CALDERA_REQUIRE_DEVICE(device);
  const Precision there = supported_precision(device.info(), GetParam());
  EXPECT_TRUE(there == GetParam() || !driver_has_halves());
  auto session = Session::create(device, graph_, weights_, options_);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(session->precision(), there);
  const double error = relative_l2(run(session), expected());
  EXPECT_LE(error, there == Precision::kFp32 ? 1e-5 : 5e-3 * rounding_in_halves(there));
}

// On every driver: one that has 16 bits is planned for as though it had none.
TEST_P(AskedFor, ADeviceWithoutItGivesWhatItGivesInFp32) {
  CALDERA_REQUIRE_DEVICE(device);
  Capabilities capabilities = device.impl().capabilities();
  capabilities.fp16 = capabilities.storage16 = false;
  auto session = create_session_within(capabilities, device, graph_, weights_, options_);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(session->precision(), Precision::kFp32);
  const std::vector<float> logits = run(session);
  EXPECT_LE(relative_l2(logits, expected()), 1e-5);

  auto floats = create_session_within(capabilities, device, graph_, weights_);
  ASSERT_TRUE(floats.ok()) << floats.error().message;
  EXPECT_EQ(logits, run(floats));
}

// Layers that a pattern names are as exact as in fp32, the rest is not; and the network runs.
TEST_P(AskedFor, LayersInFullPrecisionAreStoredAsFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  if (supported_precision(device.info(), GetParam()) != GetParam()) {
    CALDERA_SKIP_UNLESS_KNOWN(driver_has_halves(), "the device does not store 16 bits")
  }
  SessionOptions options = options_;
  options.keep_activations = true;
  options.full_precision = {"*"};
  auto all = Session::create(device, graph_, weights_, options);
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_LE(relative_l2(run(all), expected()), 1e-5);

  options.full_precision = {"stem.*"};
  auto stem = Session::create(device, graph_, weights_, options);
  ASSERT_TRUE(stem.ok()) << stem.error().message;
  const double error = relative_l2(run(stem), expected());
  EXPECT_GT(error, 1e-5);
  EXPECT_LE(error, 5e-3 * rounding_in_halves(GetParam()));
  for (const std::string& kernel : stem->kernels()) {
    if (kernel == "convert_vector") count_as_reached(kernel, GetParam());
  }
  const Graph& ran = stem->graph();
  std::set<Storage> storages;
  for (const Node& node : ran.nodes) storages.insert(ran.value(node.output()).storage.value());
  EXPECT_EQ(storages.size(), 2u);
}

TEST_P(AskedFor, APatternThatNamesNoLayerIsAnError) {
  CALDERA_REQUIRE_DEVICE(device);
  SessionOptions options = options_;
  options.full_precision = {"layer9.*"};
  const auto session = Session::create(device, graph_, weights_, options);
  ASSERT_FALSE(session.ok());
  EXPECT_THAT(session.error().message, testing::HasSubstr("no layer is named 'layer9.*'"));
}

INSTANTIATE_TEST_SUITE_P(SixteenBits, AskedFor, testing::Values(Precision::kFp16, Precision::kBf16),
                         [](const auto& test) { return std::string(precision_name(test.param)); });

// y = x + x, as a device stores it in bf16.
TEST(Bf16, RoundsToTheNearestAndKeepsTheRangeOfFloats) {
  CALDERA_REQUIRE_DEVICE(device);
  if (!device.info().bf16) {
    CALDERA_SKIP_UNLESS_KNOWN(driver_has_halves(), "the device does not store 16 bits")
  }
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 8});
  b.output(b.add("add", x, x));
  const Graph graph = std::move(b).finish().value();
  auto session = Session::create(device, graph, {}, {.precision = Precision::kBf16});
  ASSERT_TRUE(session.ok()) << session.error().message;
  // Ties go to even: 1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3 * 2^-8 between that and 1 + 2^-6.
  const std::vector<float> input{1 + 0x1p-8f,    1 + 0x3p-8f,  1 + 0x1p-8f + 0x1p-20f,
                                 -(1 + 0x1p-8f), 1e38f,        -1.2345e-38f,
                                 3.0e38f,        std::nanf("")};
  std::vector<float> output(8);
  ASSERT_TRUE(session->run(input, output).ok());
  std::vector<float> expected;
  for (const float value : input) {
    const float stored = bf16_to_float(float_to_bf16(value));
    expected.push_back(bf16_to_float(float_to_bf16(stored + stored)));
  }
  EXPECT_EQ(expected[0], 2.0f);
  EXPECT_EQ(expected[1], 2 + 0x1p-5f);
  EXPECT_EQ(expected[2], 2 + 0x1p-6f);
  EXPECT_EQ(expected[6], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(output[7]));
  EXPECT_EQ(std::vector(output.begin(), output.end() - 1),
            std::vector(expected.begin(), expected.end() - 1));
}

// Not the largest half, as a driver that cuts bits off would have it: what overflows is to be seen,
// by `caldera verify` and by the loss scale of training.
TEST(Fp16, WhatIsBeyondHalvesBecomesInfinite) {
  CALDERA_REQUIRE_DEVICE(device);
  if (!device.info().fp16) CALDERA_SKIP_UNLESS_KNOWN(driver_has_halves(), "the device has no fp16")
  const auto run_on_ones = [&](const Graph& graph, const SessionOptions& options) {
    Weights ones = random_weights(graph);
    for (auto& [name, tensor] : ones) {
      std::vector<float> values(tensor.floats().size(), 1.0f);
      tensor = Tensor::from_floats(tensor.shape(), std::move(values));
    }
    Session session = Session::create(device, graph, ones, options).value();
    std::vector<float> output(
        static_cast<size_t>(element_count(graph.value(graph.outputs[0]).shape)));
    std::vector<float> input(static_cast<size_t>(element_count(graph.value(graph.inputs[0]).shape)),
                             32752.0f);
    // The largest half is 65,504, and what is nearer to it than to 65,536 becomes it.
    input.front() = -40000;
    EXPECT_TRUE(session.run(input, output).ok());
    return std::pair(output, session.kernels());
  };
  // Of each shader one variant: the last, whose tile is the smallest.
  std::vector<std::string> names = kernel_names();
  std::reverse(names.begin(), names.end());
  std::set<std::string> taken;
  for (const int32_t side : {1, 3}) {
    GraphBuilder b;
    b.output(b.conv2d("conv", b.input("x", {1, 8, 6, 6}), 8, {side, side}));
    const Graph graph = std::move(b).finish().value();
    for (const std::string& kernel : names) {
      const std::string shader = kernel.substr(0, kernel.find_last_not_of("0123456789x") + 1);
      SessionOptions options{.precision = Precision::kFp16};
      options.kernels = {kernel};
      if (!kernel.starts_with("conv2d_") || taken.contains(shader)) continue;
      const auto [output, kernels] = run_on_ones(graph, options);
      if (kernels[0] != kernel) continue;
      EXPECT_EQ(output.back(), std::numeric_limits<float>::infinity()) << kernel << side;
      taken.insert(shader);
    }
  }
  EXPECT_THAT(taken, testing::IsSupersetOf({"conv2d_direct", "conv2d_tile", "conv2d_gemm_"}));
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 8, 6, 6});
  b.output(b.add("add", x, x));
  const auto [output, kernels] =
      run_on_ones(std::move(b).finish().value(), {.precision = Precision::kFp16});
  EXPECT_EQ(output.front(), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(output.back(), 65504);
}

}  // namespace
}  // namespace caldera::test
