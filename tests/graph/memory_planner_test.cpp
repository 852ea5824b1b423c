// The arena: values alive together never share bytes, blocks keep to their limit, and little is
// wasted.
#include "graph/memory_planner.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caldera {
namespace {

using testing::ElementsAre;

constexpr uint64_t kAlignment = 64;

constexpr uint64_t kOneBlock = UINT64_MAX;

void expect_sound(const std::vector<Lifetime>& lifetimes, const MemoryPlan& plan,
                  uint64_t block_limit = kOneBlock) {
  uint64_t bytes = 0;
  for (const uint64_t block : plan.blocks) {
    EXPECT_GT(block, 0u);
    EXPECT_LE(block, block_limit);
    bytes += block;
  }
  EXPECT_EQ(plan.bytes, bytes);
  EXPECT_GE(plan.bytes, plan.lower_bound);
  for (size_t a = 0; a < lifetimes.size(); ++a) {
    if (!lifetimes[a].used()) continue;
    const Place here = plan.places[a];
    EXPECT_EQ(here.offset % kAlignment, 0u);
    ASSERT_LT(here.block, plan.blocks.size());
    EXPECT_LE(here.offset + lifetimes[a].bytes, plan.blocks[here.block]);
    for (size_t b = a + 1; b < lifetimes.size(); ++b) {
      const bool together = lifetimes[b].used() && lifetimes[a].first <= lifetimes[b].last &&
                            lifetimes[b].first <= lifetimes[a].last;
      if (!together) continue;
      const Place there = plan.places[b];
      const bool apart = here.block != there.block ||
                         here.offset + lifetimes[a].bytes <= there.offset ||
                         there.offset + lifetimes[b].bytes <= here.offset;
      EXPECT_TRUE(apart) << "values " << a << " and " << b;
    }
  }
}

TEST(MemoryPlanner, ReusesTheMemoryOfTheDead) {
  const std::vector<Lifetime> chain{{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}};
  const MemoryPlan plan = plan_memory(chain, kAlignment, kOneBlock);
  EXPECT_EQ(plan.bytes, 1280u);
  EXPECT_EQ(plan.lower_bound, 1280u);
  expect_sound(chain, plan);
}

TEST(MemoryPlanner, KeepsAValueThatASkipConnectionReadsLate) {
  const std::vector<Lifetime> block{{640, 0, 3}, {640, 1, 2}, {640, 2, 3}};
  const MemoryPlan plan = plan_memory(block, kAlignment, kOneBlock);
  EXPECT_EQ(plan.bytes, 1920u);
  expect_sound(block, plan);
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
  const MemoryPlan plan = plan_memory(chain, kAlignment, kOneBlock);
  EXPECT_EQ(plan.lower_bound, 576u);
  EXPECT_EQ(plan.bytes, 576u);
  expect_sound(chain, plan);
}

// A search for what cannot be lasts to the end of its patience, at each start.
TEST(MemoryPlanner, IsContentWithTheLeastThatTheAlignmentLeaves) {
  const std::vector<Lifetime> odd{{1, 0, 1}, {1, 1, 2}, {65, 1, 1}};
  const MemoryPlan plan = plan_memory(odd, kAlignment, kOneBlock);
  EXPECT_EQ(plan.searched, 0);
  EXPECT_EQ(plan.bytes, 256u);
  EXPECT_EQ(plan.lower_bound, 67u);
}

TEST(MemoryPlanner, GivesNothingToValuesNeverUsed) {
  const MemoryPlan plan = plan_memory({{640, INT64_MAX, -1}, {64, 0, 0}}, kAlignment, kOneBlock);
  EXPECT_EQ(plan.bytes, 64u);
}

TEST(MemoryPlanner, TakesOneBlockWhereThatIsEnough) {
  const std::vector<Lifetime> together{{640, 0, 1}, {640, 0, 1}, {640, 1, 1}};
  const MemoryPlan plan = plan_memory(together, kAlignment, /*block_limit=*/1920);
  EXPECT_THAT(plan.blocks, ElementsAre(1920));
  expect_sound(together, plan, 1920);
}

TEST(MemoryPlanner, OpensABlockForWhatFindsNoGapInOthers) {
  const std::vector<Lifetime> together{{640, 0, 1}, {640, 0, 1}, {640, 1, 1}, {640, 2, 2}};
  const MemoryPlan plan = plan_memory(together, kAlignment, /*block_limit=*/1919);
  EXPECT_THAT(plan.blocks, ElementsAre(1280, 640));  // No more than lies in it.
  EXPECT_EQ(plan.bytes, plan.lower_bound);
  expect_sound(together, plan, 1919);
}

// Whoever allocates it has the limit, and says so.
TEST(MemoryPlanner, GivesWhatNoBlockHoldsOneOfItsOwn) {
  const std::vector<Lifetime> large{{640, 0, 1}, {6400, 0, 2}, {6400, 3, 3}, {640, 2, 3}};
  const MemoryPlan plan = plan_memory(large, kAlignment, /*block_limit=*/1280);
  EXPECT_THAT(plan.blocks, ElementsAre(640, 6400, 6400));
  expect_sound(large, plan);
}

TEST(MemoryPlanner, PutsWhatStaysEndToEndInBlocks) {
  EndToEnd row(/*block_limit=*/1024);
  EXPECT_EQ(row.add(512), (Place{0, 0}));
  EXPECT_EQ(row.add(512), (Place{0, 512}));
  EXPECT_EQ(row.add(256), (Place{1, 0}));
  EXPECT_EQ(row.add(1024), (Place{2, 0}));
  EXPECT_EQ(row.add(4096), (Place{3, 0}));  // By itself, whoever refuses it.
  EXPECT_EQ(row.add(64), (Place{4, 0}));
  EXPECT_THAT(row.blocks(), ElementsAre(1024, 256, 1024, 4096, 64));
  EXPECT_EQ(row.bytes(), 6464u);
}

TEST(MemoryPlanner, NeverOverlapsOnRandomLifetimesWhateverTheBlocks) {
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 60; ++i) {
      const auto first = static_cast<int64_t>(random() % 50);
      lifetimes.push_back(
          {random() % 10'000 + 1, first, first + static_cast<int64_t>(random() % 9)});
    }
    for (const uint64_t limit : {kOneBlock, uint64_t{40'000}, uint64_t{10'048}}) {
      expect_sound(lifetimes, plan_memory(lifetimes, kAlignment, limit), limit);
    }
  }
}

}  // namespace
}  // namespace caldera
