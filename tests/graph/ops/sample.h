// Which operator cases a driver runs. CPU drivers compile each kernel of each case for a tenth of a
// second to ten seconds, so CI's three share the cases out, by a seed: every case runs on one of
// them, every kind of case on each, and coverage.cpp sees to every variant on each. A GPU runs all,
// unless it is told otherwise.
//
// CALDERA_TEST_CASES: "all", or N for one case in N, of each kind one at least; then no driver's
// coverage is asked for. CALDERA_TEST_SEED: another share of the same size (0).
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/graph/ops/op_case.h"

namespace caldera::test {

// Cases of one kind may stand for each other: the operator and, of a convolution, what chooses
// between families of kernels.
std::string kind_of(const OpCase& test);

// Whether the share of this run has the case `name`.
bool is_in_share(const std::string& name);
// Whether this run leaves out no case that its driver is to run.
bool runs_whole_share();

// Counts cases for the line that the program ends with.
void count_cases(size_t taken, size_t given);
struct CaseCount {
  size_t taken = 0;
  size_t given = 0;
};
CaseCount counted_cases();

// Those of `cases` that this run takes, the first of each kind among them.
template <typename Case>
std::vector<Case> shared_out(std::vector<Case> cases) {
  std::set<std::string> kinds;
  const size_t given = cases.size();
  std::erase_if(cases, [&](const Case& test) {
    return !kinds.insert(kind_of(test)).second && !is_in_share(test.name);
  });
  count_cases(cases.size(), given);
  return cases;
}

}  // namespace caldera::test
