// A batch cut into runs of images, because one binding may not span it, computes the same.
#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "caldera/reference.h"

#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "runtime/shader.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_net.h"
#include "tests/support/device.h"
#include "tests/support/require.h"

namespace caldera {
namespace {

std::vector<float> run_poisoned(Session& session, const std::vector<float>& input) {
  const Shape& shape = session.graph().value(session.graph().outputs[0]).shape;
  std::vector<float> output(static_cast<size_t>(element_count(shape)));
  EXPECT_TRUE(poison_memory(session).ok());
  const Status ran = session.run(input, output);
  EXPECT_TRUE(ran.ok()) << ran.error().message;
  return output;
}

TEST(Slicing, ABatchInRunsGivesTheReferencesResult) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = test::small_net(23);
  const Weights weights = test::random_weights(graph);
  const auto inputs = test::random_inputs(graph);
  Capabilities limits = device.impl().capabilities();

  auto whole = Session::create(device, graph, weights);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  limits.max_storage_buffer_range = 128 * 1024;
  auto cut = create_session_within(limits, device, graph, weights);
  ASSERT_TRUE(cut.ok()) << cut.error().message;
  EXPECT_GT(cut->stats().dispatches, whole->stats().dispatches);

  const std::vector<float> output = run_poisoned(*cut, inputs[0]);
  EXPECT_EQ(output, run_poisoned(*whole, inputs[0]));
  const auto reference = run_reference(graph, weights, inputs);
  ASSERT_TRUE(reference.ok()) << reference.error().message;
  EXPECT_LT(relative_l2(output, (*reference)[graph.outputs[0]]), 1e-5);
}

TEST(Slicing, AMatrixCutByRowsGivesTheReferencesResult) {
  CALDERA_REQUIRE_DEVICE(device);
  GraphBuilder b;
  b.output(b.linear("fc", b.input("x", {5, 513}), 1001));
  const Graph graph = std::move(b).finish().value();
  const Weights weights = test::random_weights(graph);
  const auto inputs = test::random_inputs(graph);
  Capabilities limits = device.impl().capabilities();
  limits.max_storage_buffer_range = 400'000;  // Of 2 MB.
  auto session = create_session_within(limits, device, graph, weights);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_GT(session->stats().dispatches, 3u);
  const auto reference = run_reference(graph, weights, inputs);
  EXPECT_LT(relative_l2(run_poisoned(*session, inputs[0]), (*reference)[graph.outputs[0]]), 1e-5);
}

// A net of three images, and what the CPU makes of them.
struct ThreeImages {
  Graph graph = test::small_net(3);
  Weights weights = test::random_weights(graph);
  std::vector<std::vector<float>> inputs = test::random_inputs(graph);
  std::vector<float> expected = run_reference(graph, weights, inputs).value()[graph.outputs[0]];

  // Relative L2 of a run of the session.
  double error(Session& session) const {
    return relative_l2(run_poisoned(session, inputs[0]), expected);
  }
};

// A device that no test before has measured anything of.
#define OPEN_FRESH(name)               \
  auto name##_opened = Device::open(); \
  ASSERT_TRUE(name##_opened.ok());     \
  const Device name = std::move(name##_opened).value()

// Seconds a unit of work: a slow device's, so that what is cut hangs on no device's own pace.
constexpr double kSlowPace = 1e-9;

// In parts of a dispatch too, where a single image's layer is more than a submit may hold.
TEST(Slicing, WorkBeyondTheSubmitBudgetIsSubmittedInPortions) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const ThreeImages net;
  uint32_t submits = 1;
  for (const double budget : {1e-4, 3e-6}) {
    OPEN_FRESH(device);
    device.impl().set_pace(kSlowPace);
    SessionOptions options;
    options.submit_seconds = budget;
    auto session = Session::create(device, net.graph, net.weights, options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    EXPECT_GT(session->stats().submits, submits);
    submits = session->stats().submits;
    EXPECT_LT(net.error(*session), 1e-5) << budget;
  }
}

// The estimate was wrong: what the first run took is what later ones are cut by.
TEST(Slicing, SubmitsAreCutAnewByWhatTheyWereMeasuredToTake) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const ThreeImages net;
  OPEN_FRESH(device);
  if (device.impl().capabilities().timestamp_bits == 0) {
    CALDERA_SKIP_UNLESS_REQUIRED("this driver has no timestamps");
  }
  const auto submits_by = [&](double pace, double budget, uint32_t& before) {
    device.impl().set_pace(pace);
    SessionOptions options;
    options.submit_seconds = budget;
    Session session = Session::create(device, net.graph, net.weights, options).value();
    before = session.stats().submits;
    EXPECT_LT(net.error(session), 1e-5);
    EXPECT_EQ(session.stats().submits, before) << "by one run, which may have compiled";
    EXPECT_LT(net.error(session), 1e-5);
    const uint32_t after = session.stats().submits;
    EXPECT_LT(net.error(session), 1e-5);
    return after;
  };
  uint32_t before = 0;
  constexpr double kMuchTooFast = 1e-18;
  EXPECT_GT(submits_by(kMuchTooFast, /*budget=*/1e-6, before), 1u);
  EXPECT_EQ(before, 1u);
  constexpr double kMuchTooSlow = 1e-2;
  const uint32_t after = submits_by(kMuchTooSlow, /*budget=*/60, before);
  EXPECT_GT(before, 5u);
  EXPECT_LT(after, before);
}

TEST(Slicing, ADispatchFoldedIntoRowsOfWorkgroupsGivesTheReferencesResult) {
  CALDERA_REQUIRE_DEVICE(device);
  const ThreeImages net;
  Capabilities limits = device.impl().capabilities();
  limits.max_workgroup_count[0] = 3;
  auto session = create_session_within(limits, device, net.graph, net.weights);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_LT(net.error(*session), 1e-5);
}

// A workgroup of theirs is a tile, which it finds by its place in the grid.
TEST(Slicing, TilesForGpusAreFoldedAndSubmittedInPortionsToo) {
  CALDERA_REQUIRE_DEVICE(device);
  const ThreeImages net;
  Capabilities limits = device.impl().capabilities();
  limits.max_workgroup_count[0] = 3;
  for (const std::string kernel : {"gemm", "coopmat"}) {
    SCOPED_TRACE(kernel);
    SessionOptions options{
        .submit_seconds = 3e-6,
        .kernels = {"conv2d_" + kernel + "_32x32", "linear_" + kernel + "_32x32"}};
    const bool halves = kernel != "gemm";
    if (halves) {
      const bool there = device.info().cooperative_matrix;
      if (!there || shader_spirv(ShaderId::conv2d_coopmat).empty()) {
        EXPECT_FALSE(test::driver_has_matrices()) << "and yet they are not to be had";
        continue;
      }
      options.precision = Precision::kFp16;
    }
    const double pace = device.impl().pace();
    device.impl().set_pace(kSlowPace);
    auto session = create_session_within(limits, device, net.graph, net.weights, options);
    device.impl().set_pace(pace);
    ASSERT_TRUE(session.ok()) << session.error().message;
    const std::vector<std::string> used = session->kernels();
    EXPECT_NE(std::find(used.begin(), used.end(), options.kernels[0]), used.end());
    EXPECT_NE(std::find(used.begin(), used.end(), options.kernels[1]), used.end());
    EXPECT_GT(session->stats().submits, 1u);
    const double allowed = halves ? 5e-3 : 1e-5;
    EXPECT_LT(net.error(*session), allowed);
  }
}

}  // namespace
}  // namespace caldera
