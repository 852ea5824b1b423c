// Several runs under way at once: submit() and wait() give what run() gives, in the order of
// submission, and refuse what would lose a run.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/session.h"

#include "tests/graph/random_operands.h"
#include "tests/graph/small_net.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

using testing::HasSubstr;
using Floats = std::vector<float>;

constexpr size_t kLogits = 10;  // Of a batch of two.

Status submit(Session& session, const Floats& input) {
  const std::span<const float> span(input);
  return session.submit(std::span(&span, 1));
}

Status wait(Session& session, Floats& output) {
  const std::span<float> span(output);
  return session.wait(std::span(&span, 1));
}

std::string message(const Status& status) {
  return status.ok() ? "" : status.error().message;
}

// A session that keeps `frames` runs under way; inputs that differ, and what run() makes of them.
class Async : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    CALDERA_REQUIRE_DEVICE(device);
    for (int i = 0; i < 7; ++i) {
      inputs.push_back(random_inputs(graph)[0]);
      for (float& value : inputs.back()) value *= static_cast<float>(i + 1);
    }
    const auto make = [&](int under_way) {
      return Session::create(device, graph, weights, {.frames_in_flight = under_way});
    };
    auto one_by_one = make(1);
    auto made = make(GetParam());
    ASSERT_TRUE(one_by_one.ok() && made.ok());
    for (const Floats& input : inputs) {
      expected.emplace_back(kLogits);
      ASSERT_TRUE(one_by_one->run(input, expected.back()).ok());
    }
    session.emplace(std::move(made).value());
  }

  // The next result is that of input `i`, to the bit.
  void expect_next(size_t i) {
    Floats output(kLogits, std::numeric_limits<float>::quiet_NaN());
    const Status done = wait(*session, output);
    ASSERT_TRUE(done.ok()) << message(done);
    EXPECT_EQ(output, expected[i]) << "input " << i;
  }

  const size_t frames = static_cast<size_t>(GetParam());
  const Graph graph = small_net(2);
  const Weights weights = random_weights(graph);
  std::vector<Floats> inputs, expected;
  std::optional<Session> session;
};

TEST_P(Async, GivesWhatRunGivesInTheOrderOfSubmission) {
  ASSERT_NE(expected[0], expected[1]);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (i >= frames) expect_next(i - frames);
    const Status sent = submit(*session, inputs[i]);
    ASSERT_TRUE(sent.ok()) << message(sent);
  }
  for (size_t i = inputs.size() - frames; i < inputs.size(); ++i) expect_next(i);
}

TEST_P(Async, CopiesTheInputSoThatItMayChangeAtOnce) {
  Floats input = inputs[0];
  ASSERT_TRUE(submit(*session, input).ok());
  std::fill(input.begin(), input.end(), 1e30f);
  expect_next(0);
}

TEST_P(Async, RefusesOneSubmitTooManyAndLosesNothing) {
  for (size_t i = 0; i < frames; ++i) ASSERT_TRUE(submit(*session, inputs[i]).ok());
  const Status refused = submit(*session, inputs[frames]);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(message(refused), HasSubstr("frames_in_flight"));
  for (size_t i = 0; i < frames; ++i) expect_next(i);
  ASSERT_TRUE(submit(*session, inputs[frames]).ok());
  expect_next(frames);
}

TEST_P(Async, RefusesToWaitForNoRun) {
  Floats output(kLogits, 7.0f);
  EXPECT_THAT(message(wait(*session, output)), HasSubstr("submit() first"));
  EXPECT_EQ(output, Floats(kLogits, 7.0f));
  ASSERT_TRUE(submit(*session, inputs[0]).ok());
  expect_next(0);
  EXPECT_FALSE(wait(*session, output).ok());
}

TEST_P(Async, RefusesToRunWhileOthersAreUnderWay) {
  ASSERT_TRUE(submit(*session, inputs[0]).ok());
  Floats output(kLogits, 7.0f);
  EXPECT_THAT(message(session->run(inputs[1], output)), HasSubstr("under way"));
  EXPECT_EQ(output, Floats(kLogits, 7.0f));
  expect_next(0);
  ASSERT_TRUE(session->run(inputs[1], output).ok());
  EXPECT_EQ(output, expected[1]);
}

TEST_P(Async, LosesNoRunToSpansOfTheWrongSize) {
  ASSERT_TRUE(submit(*session, inputs[0]).ok());
  Floats longer(kLogits + 1);
  EXPECT_FALSE(wait(*session, longer).ok());
  EXPECT_FALSE(submit(*session, Floats(3)).ok());
  expect_next(0);
}

// Validation is on: it would tell of memory freed under a running device.
TEST_P(Async, EndsCleanlyWithRunsUnderWay) {
  for (size_t i = 0; i < frames; ++i) ASSERT_TRUE(submit(*session, inputs[i]).ok());
  session.reset();
}

TEST_P(Async, ForksKeepRunsOfTheirOwn) {
  auto fork = session->fork();
  ASSERT_TRUE(fork.ok());
  for (size_t i = 0; i < frames; ++i) {
    ASSERT_TRUE(submit(*session, inputs[i]).ok());
    ASSERT_TRUE(submit(*fork, inputs[i + 1]).ok());
  }
  for (size_t i = 0; i < frames; ++i) {
    expect_next(i);
    Floats output(kLogits);
    ASSERT_TRUE(wait(*fork, output).ok());
    EXPECT_EQ(output, expected[i + 1]);
  }
}

INSTANTIATE_TEST_SUITE_P(Frames, Async, testing::Values(1, 2, 3),
                         [](const auto& test) { return std::to_string(test.param); });

}  // namespace
}  // namespace caldera::test
