// The operator cases that a driver runs: its share (tests/support/share.h), and the first of each
// kind. So every kind of case runs on each driver, and coverage.cpp sees to every variant on each.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "tests/graph/ops/op_case.h"
#include "tests/support/share.h"

namespace caldera::test {

// Cases of one kind may stand for each other: the operator and, of a convolution, what chooses
// between families of kernels.
std::string kind_of(const OpCase& test);

// Over all lists, for the line that the program ends with.
struct CaseCount {
  size_t taken = 0;
  size_t given = 0;
};
CaseCount& counted_cases();

template <typename Case>
std::vector<Case> shared_out(std::vector<Case> cases, bool halves = false) {
  std::set<std::string> kinds;
  CaseCount& count = counted_cases();
  count.given += cases.size();
  std::erase_if(cases, [&](const Case& test) {
    const bool first = kinds.insert(kind_of(test)).second;
    return !first && !is_in_share(test.name, halves);
  });
  count.taken += cases.size();
  return cases;
}

}  // namespace caldera::test
