// What each of CI's drivers runs of a long list of cases. A driver on a CPU compiles each kernel of
// each case for a tenth of a second to ten seconds, so the three share such lists out, by a seed:
// every case runs on one of them at least, in f32 and in halves. Matrix kernels, which one of them
// has, see that one's cases. Any other driver, a GPU's, runs all, unless it is told otherwise.
//
// CALDERA_TEST_CASES: "all", or N for one case in N, the same on every driver.
// CALDERA_TEST_SEED: any word, for other shares of the same size.
#pragma once

#include <string>

namespace caldera::test {

// Whether this run has the case of that name; `halves`: stored in 16 bits, as not every driver
// does.
bool is_in_share(const std::string& name, bool halves = false);

// Whether it was told to have all.
bool takes_all_cases();

// Whether it has all that its driver is to run.
bool runs_whole_share();

}  // namespace caldera::test
