// What a session makes of fp16: halves where the device stores them; elsewhere floats, and it says
// so. Where op_test.cpp skips fp16, this still runs.
#include <vector>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace caldera::test
