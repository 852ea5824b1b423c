#include "tests/graph/ops/coverage.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/graph/ops/share.h"
#include "tests/support/require.h"
#include "tests/support/sample.h"

namespace caldera::test {

namespace {

using Reached = std::set<std::pair<std::string, Precision>>;

Reached& reached() {
  static Reached variants;
  return variants;
}

// What a variant runs once for.
std::string purpose(const OpCase& test, Precision precision, std::string_view variant) {
  const testing::TestInfo& running = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string_view suite = running.test_suite_name(), name = running.name();
  std::string_view kind = "";
  if (suite.starts_with("NotANumber/")) {
    const bool costly = variant.starts_with("conv2d") || variant.starts_with("linear");
    kind = costly ? std::string_view("NaN") : test.name;
  }
  return fmt::format("{}.{} {} {} {}", suite.substr(suite.find('/') + 1),
                     name.substr(0, name.find('/')), kind, precision_name(precision), variant);
}

std::set<std::string>& covered_purposes() {
  static std::set<std::string> purposes;
  return purposes;
}

bool driver_is_known() {
  return driver() == "swiftshader" || driver_has_halves();
}

// Whether a driver that is known runs the variant on some case.
bool runs_here(std::string_view variant, Precision precision) {
  const auto is = [&](std::string_view part) { return variant.find(part) != variant.npos; };
  const bool halves = precision == Precision::kFp16;
  const bool rounds = precision != Precision::kFp32;
  if (rounds && !driver_has_halves()) return false;
  if (variant == "convert_vector") return rounds;  // In fp32 there is nothing to convert.
  if (is("_coopmat_")) return halves && driver_has_matrices();     // Products of halves alone.
  if (is("_gemm_") && rounds) return variant.ends_with("_32x32");  // As left_out() has it.
  if (is("_subgroup") || is("_winograd") || variant == "linear_panel") {
    return driver_has_subgroups_of_eight();
  }
  return true;
}

// Neither --gtest_filter, nor a shard, nor a sample beside the driver's share.
bool every_test_ran() {
  if (!runs_whole_share()) return false;
  const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
  return !sampling() &&
         tests.test_to_run_count() + tests.disabled_test_count() >= tests.total_test_count();
}

class Coverage : public testing::Environment {
  void TearDown() override {
    if (reached().empty()) return;  // No device.
    if (const CaseCount cases = counted_cases(); cases.taken < cases.given) {
      std::printf("%zu of %zu cases ran here: see tests/graph/ops/share.h\n", cases.taken,
                  cases.given);
    }
    tell(Precision::kFp32);
    tell(Precision::kFp16);
    tell(Precision::kBf16);
  }

  void tell(Precision precision) {
    const std::string in(precision_name(precision));
    // Of a device without halves there is no need to list every variant again.
    const bool any = std::ranges::any_of(
        reached(), [&](const auto& variant) { return variant.second == precision; });
    for (const std::string& name : kernel_names()) {
      if (reached().contains({name, precision})) continue;
      if (!in_this_part(name)) continue;
      if (any) std::printf("On no case: %s in %s\n", name.c_str(), in.c_str());
      if (driver_is_known() && every_test_ran() && runs_here(name, precision)) {
        ADD_FAILURE() << name << " in " << in << " ran on no case, though " << driver()
                      << " can run it: nothing tests it here any more";
      }
    }
  }
};

[[maybe_unused]] const testing::Environment* const kCoverage =
    testing::AddGlobalTestEnvironment(new Coverage);

}  // namespace

bool left_out(const Device& device, const OpCase& test, Precision precision,
              std::string_view variant) {
  const bool gemm = variant.find("_gemm_") != variant.npos;
  const bool coopmat = variant.find("_coopmat") != variant.npos;
  if (device.info().type != DeviceType::kCpu || !(gemm || coopmat)) return false;
  if (variant.ends_with("_32x32")) return false;
  return !test.every_tile || !runs_whole_share() || (gemm && precision != Precision::kFp32);
}

bool covered(const OpCase& test, Precision precision, std::string_view variant) {
  if (!sampling()) return false;
  return !in_this_part(variant) || covered_purposes().contains(purpose(test, precision, variant));
}

void count_as_covered(const OpCase& test, Precision precision, std::string_view variant) {
  if (sampling()) covered_purposes().insert(purpose(test, precision, variant));
}

void count_as_reached(const std::string& variant, Precision precision) {
  reached().insert({variant, precision});
}

}  // namespace caldera::test
