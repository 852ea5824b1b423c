// What a test needs and may lack. By hand, a lack skips the test with a line; where
// CALDERA_REQUIRE_DRIVERS=1, as in CI, everything is to be there and a lack is a failure.
#pragma once

#include <gtest/gtest.h>

namespace caldera::test {

// CALDERA_REQUIRE_DRIVERS=1.
bool all_required();

}  // namespace caldera::test

#define CALDERA_SKIP_UNLESS_REQUIRED(reason)               \
  {                                                        \
    if (::caldera::test::all_required()) FAIL() << reason; \
    GTEST_SKIP() << reason;                                \
  }
