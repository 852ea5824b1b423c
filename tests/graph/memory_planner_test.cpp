// The arena: values alive together never share bytes, and little is wasted.
#include "graph/memory_planner.h"

#include <random>

#include <gtest/gtest.h>

namespace caldera {
namespace {

constexpr uint64_t kAlignment = 64;

void expect_no_overlap(const std::vector<Lifetime>& lifetimes, const MemoryPlan& plan) {
  for (size_t a = 0; a < lifetimes.size(); ++a) {
    if (!lifetimes[a].used()) continue;
    EXPECT_EQ(plan.offsets[a] % kAlignment, 0u);
    EXPECT_LE(plan.offsets[a] + lifetimes[a].bytes, plan.bytes);
    for (size_t b = a + 1; b < lifetimes.size(); ++b) {
      const bool together = lifetimes[b].used() && lifetimes[a].first <= lifetimes[b].last &&
                            lifetimes[b].first <= lifetimes[a].last;
      if (!together) continue;
      const bool apart = plan.offsets[a] + lifetimes[a].bytes <= plan.offsets[b] ||
                         plan.offsets[b] + lifetimes[b].bytes <= plan.offsets[a];
      EXPECT_TRUE(apart) << "values " << a << " and " << b;
    }
  }
}

TEST(MemoryPlanner, ReusesTheMemoryOfTheDead) {
  const std::vector<Lifetime> chain{{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}};
  const MemoryPlan plan = plan_memory(chain, kAlignment);
  EXPECT_EQ(plan.bytes, 1280u);
  EXPECT_EQ(plan.lower_bound, 1280u);
  expect_no_overlap(chain, plan);
}

TEST(MemoryPlanner, KeepsAValueThatASkipConnectionReadsLate) {
  const std::vector<Lifetime> block{{640, 0, 3}, {640, 1, 2}, {640, 2, 3}};
  const MemoryPlan plan = plan_memory(block, kAlignment);
  EXPECT_EQ(plan.bytes, 1920u);
  expect_no_overlap(block, plan);
}

// Pre-activation bottlenecks: unless sums lie at alternate ends, small values split the rest.
TEST(MemoryPlanner, NeedsNoMoreThanTheLeastForAChainOfBottlenecks) {
  std::vector<Lifetime> chain;
  for (int64_t step = 0; step < 80; step += 4) {
    chain.push_back({256, step, step + 4});      // The sum, kept for the next one.
    chain.push_back({256, step + 1, step + 2});  // Normalised.
    chain.push_back({64, step + 2, step + 3});
    chain.push_back({64, step + 3, step + 4});
  }
  const MemoryPlan plan = plan_memory(chain, kAlignment);
  EXPECT_EQ(plan.lower_bound, 576u);
  EXPECT_EQ(plan.bytes, 576u);
  expect_no_overlap(chain, plan);
}

// A search for what cannot be lasts to the end of its patience, at each start.
TEST(MemoryPlanner, IsContentWithTheLeastThatTheAlignmentLeaves) {
  const std::vector<Lifetime> odd{{1, 0, 1}, {1, 1, 2}, {65, 1, 1}};
  const MemoryPlan plan = plan_memory(odd, kAlignment);
  EXPECT_EQ(plan.searched, 0);
  EXPECT_EQ(plan.bytes, 256u);
  EXPECT_EQ(plan.lower_bound, 67u);
}

TEST(MemoryPlanner, GivesNothingToValuesNeverUsed) {
  const MemoryPlan plan = plan_memory({{640, INT64_MAX, -1}, {64, 0, 0}}, kAlignment);
  EXPECT_EQ(plan.bytes, 64u);
}

TEST(MemoryPlanner, NeverOverlapsOnRandomLifetimes) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 60; ++i) {
      const auto first = static_cast<int64_t>(random() % 50);
      lifetimes.push_back(
          {random() % 10'000 + 1, first, first + static_cast<int64_t>(random() % 9)});
    }
    const MemoryPlan plan = plan_memory(lifetimes, kAlignment);
    expect_no_overlap(lifetimes, plan);
    EXPECT_GE(plan.bytes, plan.lower_bound);
  }
}

}  // namespace
}  // namespace caldera
