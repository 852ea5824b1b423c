// The suite in a short form, for a real GPU whose driver takes a second to compile a pipeline
// (tests/gpu.sh): tests in a random order, of operator cases those that reach a kernel which none
// before them reached, and nothing begun once the time is up. What is left out is counted and told.
//   CALDERA_TEST_SAMPLE   turns it on, and gives the order
//   CALDERA_TEST_PART     "2/4": which part of the kernels this process runs; all without it
//   CALDERA_TEST_SECONDS  after which no test is begun; no limit without it
#pragma once

#include <string_view>

namespace caldera::test {

bool sampling();
// Whether it falls to this process to test what has this name.
bool in_this_part(std::string_view name);
// Before InitGoogleTest, so that the command line may say otherwise.
void set_sample_order();

}  // namespace caldera::test

// For cases all of whose kernels ran on cases before.
#define CALDERA_SKIP_AS_COVERED() GTEST_SKIP() << "covered: its kernels ran on other cases"
