// Which kernel variants the cases of this program reached, in which precision. A variant that no
// case reaches is tested by nobody: the program says so at its end, and fails where the driver is
// known to run it.
#pragma once

#include <string>
#include <string_view>

#include "caldera/device.h"
#include "caldera/session.h"

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

// Tiles for GPUs, which a CPU driver compiles for seconds and runs slowest. There the smallest of
// them stands for all on every case, and the others run where a case asks for it: conv2d_gemm's in
// one precision, since halves change its loads and stores alone.
bool left_out(const Device& device, const OpCase& test, Precision precision,
              std::string_view variant);

void count_as_reached(const std::string& variant, Precision precision);

// In a sample (tests/support/sample.h) a variant runs once in each precision and by each kind of
// test, on the first case that it takes; activations and their like by every case of NaN, which
// compile little. Whether it has, or another process runs it. False outside of samples.
bool covered(const OpCase& test, Precision precision, std::string_view variant);
void count_as_covered(const OpCase& test, Precision precision, std::string_view variant);

}  // namespace caldera::test
