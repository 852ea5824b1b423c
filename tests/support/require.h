// What a test needs and may lack. By hand, a lack skips the test with a line; where
// CALDERA_REQUIRE_DRIVERS=1, as in CI, everything is to be there and a lack is a failure. What
// only some drivers have is never skipped on those that are known to have it.
#pragma once

#include <string_view>

#include <gtest/gtest.h>

namespace caldera::test {

// An environment variable's value; empty where it is not set.
std::string_view variable(const char* name);

// CALDERA_REQUIRE_DRIVERS=1.
bool all_required();

// As tests/on_driver.sh names it, which sets CALDERA_TEST_DRIVER; empty without that script.
std::string_view driver();

// What is known of the drivers that CI runs (docs/platforms.md). False of any other.
bool driver_has_halves();              // DeviceInfo::fp16
bool driver_has_subgroups_of_eight();  // And shuffles, which the kernels of subgroups need.
bool driver_has_matrices();            // DeviceInfo::cooperative_matrix

}  // namespace caldera::test

// Fails where `known`, that what a test needs is there, else skips.
#define CALDERA_SKIP_UNLESS_KNOWN(known, reason) \
  {                                              \
    if (known) FAIL() << reason;                 \
    GTEST_SKIP() << reason;                      \
  }

#define CALDERA_SKIP_UNLESS_REQUIRED(reason) \
  CALDERA_SKIP_UNLESS_KNOWN(::caldera::test::all_required(), reason)
