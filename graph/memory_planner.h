// Places activations in one arena by their lifetimes: greedy, by size and in other orders, as in
// Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv 2001.03288.
#pragma once

#include <cstdint>
#include <vector>

namespace caldera {

struct Lifetime {
  uint64_t bytes = 0;
  // Steps, both inclusive, between which the bytes must stay. first > last: never used.
  int64_t first = INT64_MAX;
  int64_t last = -1;

  bool used() const { return first <= last; }
};

struct MemoryPlan {
  std::vector<uint64_t> offsets;    // By lifetime; a multiple of the alignment.
  std::vector<Lifetime> lifetimes;  // As they were given.
  uint64_t bytes = 0;
  // The most bytes alive at one step: no placement can need less.
  uint64_t lower_bound = 0;
  int searched = 0;  // Orders tried beyond the usual ones, because none of those was the best.
};

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes, uint64_t alignment);

}  // namespace caldera
