// Places activations in an arena of blocks by their lifetimes: greedy, by size and in other orders,
// as in Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv
// 2001.03288. What lives as long as its session is placed end to end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/place.h"

namespace caldera {

struct Lifetime {
  uint64_t bytes = 0;
  // Steps, both inclusive, between which the bytes must stay. first > last: never used.
  int64_t first = INT64_MAX;
  int64_t last = -1;

  bool used() const { return first <= last; }
};

struct MemoryPlan {
  std::vector<Place> places;        // By lifetime; offsets are multiples of the alignment.
  std::vector<Lifetime> lifetimes;  // As they were given.
  std::vector<uint64_t> blocks;     // Bytes of each.
  uint64_t bytes = 0;               // All blocks together.
  // The most bytes alive at one step: no placement can need less.
  uint64_t lower_bound = 0;
  int searched = 0;  // Orders tried beyond the usual ones, because none of those was the best.
};

// In blocks of at most `block_limit` bytes. A value of more gets a block of its own, which is for
// whoever allocates it to refuse.
MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes, uint64_t alignment,
                       uint64_t block_limit);

// Whether what was planned finds room in blocks of these sizes.
bool fits(const MemoryPlan& plan, std::span<const uint64_t> blocks);

// Things that stay, one after the other. Each lies wholly in one block: one that finds no room left
// opens the next.
class EndToEnd {
 public:
  explicit EndToEnd(uint64_t block_limit) : block_limit_(block_limit) {}

  // The end of what was added so far is where the next begins, so `bytes` are to be rounded up.
  Place add(uint64_t bytes);
  const std::vector<uint64_t>& blocks() const { return blocks_; }  // Bytes of each.
  uint64_t bytes() const;                                          // All together.

 private:
  uint64_t block_limit_;
  std::vector<uint64_t> blocks_;
};

}  // namespace caldera
