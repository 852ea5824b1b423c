// A listener skips what begins too late, and counts.
#include "tests/support/sample.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/require.h"

namespace caldera::test {

namespace {

int number(std::string_view text, int otherwise) {
  int value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

using Clock = std::chrono::steady_clock;

class Sample : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    const std::chrono::duration<double> spent = Clock::now() - start_;
    late_ = spent.count() > seconds_;
    if (late_) Skip();
  }
  // The macro returns, and so wants a function that returns nothing.
  static void Skip() { GTEST_SKIP() << "left out: the time was up"; }

  void OnTestEnd(const testing::TestInfo& test) override {
    const testing::TestResult& result = *test.result();
    if (late_) {
      ++left_out_;
    } else if (!result.Skipped()) {
      ++(result.Failed() ? failed_ : passed_);
    } else {
      const std::string why = result.GetTestPartResult(0).message();
      ++(why.find("covered:") != std::string::npos ? covered_ : skipped_);
    }
  }

  // Read by tests/gpu.sh.
  void OnTestProgramEnd(const testing::UnitTest&) override {
    std::printf("Sample: %d passed, %d failed, %d skipped, %d covered by others, %d out of time\n",
                passed_, failed_, skipped_, covered_, left_out_);
  }

  const Clock::time_point start_ = Clock::now();
  const int seconds_ = number(variable("CALDERA_TEST_SECONDS"), 1'000'000);
  bool late_ = false;
  int passed_ = 0, failed_ = 0, skipped_ = 0, covered_ = 0, left_out_ = 0;
};

class Environment : public testing::Environment {
  void SetUp() override {
    if (sampling()) testing::UnitTest::GetInstance()->listeners().Append(new Sample);
  }
};

[[maybe_unused]] const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new Environment);

}  // namespace

bool sampling() {
  static const bool on = !variable("CALDERA_TEST_SAMPLE").empty();
  return on;
}

bool in_this_part(std::string_view name) {
  static const std::string_view part = variable("CALDERA_TEST_PART");
  const size_t slash = part.find('/');
  if (slash == part.npos) return true;
  const auto parts = static_cast<uint32_t>(number(part.substr(slash + 1), 1));
  uint32_t hash = 2166136261u;  // FNV-1a.
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash % parts + 1 == static_cast<uint32_t>(number(part, 1));
}

void set_sample_order() {
  if (!sampling()) return;
  GTEST_FLAG_SET(shuffle, true);
  GTEST_FLAG_SET(random_seed, number(variable("CALDERA_TEST_SAMPLE"), 1) % 100'000);
}

}  // namespace caldera::test
