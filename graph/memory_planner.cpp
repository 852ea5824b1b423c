// Largest first, each into the tightest gap that its lifetime leaves: on residual networks within a
// few per cent of the lower bound, and quick enough to need nothing cleverer.
#include "graph/memory_planner.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "graph/align.h"

namespace caldera {

namespace {

bool overlap(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

uint64_t most_alive(const std::vector<Lifetime>& lifetimes) {
  std::map<int64_t, int64_t> changes;  // Step -> bytes that come or go before it.
  for (const Lifetime& lifetime : lifetimes) {
    if (!lifetime.used()) continue;
    changes[lifetime.first] += static_cast<int64_t>(lifetime.bytes);
    changes[lifetime.last + 1] -= static_cast<int64_t>(lifetime.bytes);
  }
  int64_t alive = 0;
  int64_t most = 0;
  for (const auto& [step, change] : changes) most = std::max(most, alive += change);
  return static_cast<uint64_t>(most);
}

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes, uint64_t alignment) {
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  plan.lower_bound = most_alive(lifetimes);

  std::vector<size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  std::vector<size_t> placed;  // By offset.
  for (const size_t current : by_size) {
    const Lifetime& lifetime = lifetimes[current];
    if (!lifetime.used()) continue;
    const uint64_t bytes = round_up(lifetime.bytes, alignment);
    // The tightest gap between those alive at the same time; else after the last of them.
    uint64_t end = 0;
    uint64_t best = 0;
    uint64_t best_gap = UINT64_MAX;
    for (const size_t other : placed) {
      if (!overlap(lifetime, lifetimes[other])) continue;
      const uint64_t start = plan.offsets[other];
      if (start >= end && start - end >= bytes && start - end < best_gap) {
        best = end;
        best_gap = start - end;
      }
      end = std::max(end, start + round_up(lifetimes[other].bytes, alignment));
    }
    plan.offsets[current] = best_gap == UINT64_MAX ? end : best;
    plan.bytes = std::max(plan.bytes, plan.offsets[current] + bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), current,
                         [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
        current);
  }
  return plan;
}

}  // namespace caldera
