// The device that a test program runs on: the first that the Vulkan loader shows (on_driver.sh
// decides which that is), opened once, with the validation layers where they are installed. A
// test during which a validation message arrives fails.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "caldera/device.h"

#include "tests/support/require.h"

namespace caldera::test {

// The shared device, opened on first use and closed after the last test; null where there is none.
const Device* device();
// Why there is none.
std::string why_no_device();

// Another handle on the same driver without validation, whose layers allocate and cost time: for
// tests that count allocations.
Result<Device> open_without_validation();

}  // namespace caldera::test

// Names the shared device `variable`, or skips the test where there is none.
#define CALDERA_REQUIRE_DEVICE(variable)                                                         \
  if (!::caldera::test::device()) CALDERA_SKIP_UNLESS_REQUIRED(::caldera::test::why_no_device()) \
  [[maybe_unused]] const ::caldera::Device& variable = *::caldera::test::device()
