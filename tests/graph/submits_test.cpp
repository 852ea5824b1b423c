// A plan's work cut into submits: nothing lost, nothing twice, no submit over its budget.
#include "graph/submits.h"

#include <gtest/gtest.h>

namespace caldera {
namespace {

Dispatch dispatch(int64_t multiply_adds, std::array<uint32_t, 3> workgroups = {100, 1, 1}) {
  Dispatch made;
  made.multiply_adds = multiply_adds;
  made.workgroups = workgroups;
  return made;
}

// Workgroups that the portions of dispatch `index` run, each of which must start where the one
// before it ended.
uint64_t workgroups_of(const std::vector<Portion>& portions, uint32_t index) {
  uint64_t sum = 0;
  uint32_t next_row = 0;
  for (const Portion& portion : portions) {
    if (portion.dispatch != index) continue;
    EXPECT_EQ(portion.first_row, next_row);
    next_row += portion.workgroups[1];
    sum += uint64_t{portion.workgroups[0]} * portion.workgroups[1] * portion.workgroups[2];
  }
  return sum;
}

TEST(Submits, TakeTheDispatchesWholeWhileTheBudgetLasts) {
  const std::vector<Dispatch> plan{dispatch(40), dispatch(40), dispatch(40), dispatch(10)};
  const std::vector<Portion> portions = cut_into_submits(plan, 100, 65535);
  ASSERT_EQ(portions.size(), 4u);
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(portions[i].dispatch, i);
    EXPECT_EQ(portions[i].workgroups, plan[i].workgroups);
    EXPECT_EQ(portions[i].opens_submit, i == 2);  // 40 and 40; 40 and 10.
  }
}

TEST(Submits, CutADispatchOfMoreThanOneMayHoldByRows) {
  const std::vector<Dispatch> plan{dispatch(10), dispatch(1000), dispatch(10)};
  const std::vector<Portion> portions = cut_into_submits(plan, 100, 65535);
  EXPECT_EQ(workgroups_of(portions, 0), 100u);
  EXPECT_GE(workgroups_of(portions, 1), 100u);  // Folded; what is over returns at once.
  EXPECT_LT(workgroups_of(portions, 1), 110u);
  EXPECT_EQ(portions.size(), 12u);
  for (size_t i = 1; i <= 10; ++i) EXPECT_EQ(portions[i].dispatch, 1u);
  EXPECT_FALSE(portions[0].opens_submit);
  for (size_t i = 1; i < 12; ++i) EXPECT_TRUE(portions[i].opens_submit) << i;
}

TEST(Submits, CutNoFinerThanTheRowsThatADeviceAllows) {
  const std::vector<Dispatch> plan{dispatch(1'000'000, {64, 50, 1})};
  EXPECT_EQ(cut_into_submits(plan, 1, 65535).size(), 3200u);  // A workgroup each.
  EXPECT_EQ(cut_into_submits(plan, 1, 100).size(), 50u);
  EXPECT_EQ(workgroups_of(cut_into_submits(plan, 1, 100), 0), 3200u);
}

TEST(Submits, CountBytesWhereThereIsNoArithmetic) {
  std::vector<Dispatch> plan{dispatch(0), dispatch(0)};
  for (Dispatch& d : plan) d.bindings = {{BindingKind::kActivation, 0, 0, 1000}};
  EXPECT_GT(work_of(plan[0]), 0);
  EXPECT_EQ(cut_into_submits(plan, work_of(plan[0]), 65535).size(), 2u);
}

}  // namespace
}  // namespace caldera
