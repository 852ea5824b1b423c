// What a session makes of fp16: halves where the device stores them; elsewhere floats, and it says
// so. Where op_test.cpp skips fp16, this still runs.
#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include <gmock/gmock.h>

#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_net.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

class AskedForFp16 : public testing::Test {
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
  const SessionOptions options_{.precision = Precision::kFp16};
};

TEST_F(AskedForFp16, ASessionTellsWhetherTheDeviceStoresHalves) {
  CALDERA_REQUIRE_DEVICE(device);
  EXPECT_TRUE(device.info().fp16 || !driver_has_halves());
  auto session = Session::create(device, graph_, weights_, options_);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(session->precision(), device.info().fp16 ? Precision::kFp16 : Precision::kFp32);
  EXPECT_LE(relative_l2(run(session), expected()), device.info().fp16 ? 5e-3 : 1e-5);
}

// On every driver: one that has halves is planned for as though it had none.
TEST_F(AskedForFp16, ADeviceWithoutHalvesGivesWhatItGivesInFp32) {
  CALDERA_REQUIRE_DEVICE(device);
  Capabilities capabilities = device.impl().capabilities();
  capabilities.fp16 = false;
  auto session = create_session_within(capabilities, device, graph_, weights_, options_);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(session->precision(), Precision::kFp32);
  const std::vector<float> logits = run(session);
  EXPECT_LE(relative_l2(logits, expected()), 1e-5);

  auto floats = create_session_within(capabilities, device, graph_, weights_);
  ASSERT_TRUE(floats.ok()) << floats.error().message;
  EXPECT_EQ(logits, run(floats));
}

// Not the largest half, as a driver that cuts bits off would have it: what overflows is to be seen,
// by `caldera verify` and by the loss scale of training.
TEST_F(AskedForFp16, WhatIsBeyondHalvesBecomesInfinite) {
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
      SessionOptions options = options_;
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
  const auto [output, kernels] = run_on_ones(std::move(b).finish().value(), options_);
  EXPECT_EQ(output.front(), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(output.back(), 65504);
}

}  // namespace
}  // namespace caldera::test
