// Greedy, each value into the tightest gap that its lifetime leaves, in each of a few orders, from
// one end of the arena and from both; the best is kept. By size alone, from one end, is best for
// most residual networks; pre-activation bottlenecks need both ends, so that what a block keeps
// alive for its sum lies at one of them and the rest stays in one piece.
#include "graph/memory_planner.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <random>

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

uint64_t length(const Lifetime& lifetime) {
  return static_cast<uint64_t>(lifetime.last - lifetime.first + 1);
}

// Earlier in an order.
using Before = bool (*)(const Lifetime& a, const Lifetime& b);
constexpr std::array<Before, 6> kOrders = {
    [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; },
    [](const Lifetime& a, const Lifetime& b) { return a.bytes * length(a) > b.bytes * length(b); },
    [](const Lifetime& a, const Lifetime& b) {
      return length(a) != length(b) ? length(a) > length(b) : a.bytes < b.bytes;
    },
    [](const Lifetime& a, const Lifetime& b) { return a.last > b.last; },
    [](const Lifetime& a, const Lifetime& b) { return a.first < b.first; },
    [](const Lifetime& a, const Lifetime& b) {
      return a.first != b.first ? a.first < b.first : length(a) > length(b);
    },
};

// The used lifetimes, sorted.
std::vector<size_t> in_order(const std::vector<Lifetime>& lifetimes, Before before) {
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t i) { return !lifetimes[i].used(); });
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return before(lifetimes[a], lifetimes[b]); });
  return order;
}

// The offsets, and the bytes in all, of one order. Gaps are looked for below `ceiling` first; one
// that reaches up to it is filled from above, so that what is left stays in one piece.
MemoryPlan place(const std::vector<Lifetime>& lifetimes, const std::vector<size_t>& order,
                 uint64_t alignment, uint64_t ceiling) {
  MemoryPlan plan;
  plan.offsets.assign(lifetimes.size(), 0);
  std::vector<size_t> placed;  // By offset.
  for (const size_t current : order) {
    const Lifetime& lifetime = lifetimes[current];
    const uint64_t bytes = round_up(lifetime.bytes, alignment);
    // The tightest gap between those alive at the same time; else after the last of them.
    uint64_t end = 0;
    uint64_t best = 0;
    uint64_t best_gap = UINT64_MAX;
    const auto consider = [&](uint64_t from, uint64_t to) {
      if (to < from + bytes || to - from >= best_gap) return;
      best = from > 0 && to == ceiling ? to - bytes : from;
      best_gap = to - from;
    };
    for (const size_t other : placed) {
      if (!overlap(lifetime, lifetimes[other])) continue;
      consider(end, plan.offsets[other]);
      end = std::max(end, plan.offsets[other] + round_up(lifetimes[other].bytes, alignment));
    }
    consider(end, ceiling);
    plan.offsets[current] = best_gap == UINT64_MAX ? end : best;
    plan.bytes = std::max(plan.bytes, plan.offsets[current] + bytes);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), current,
                         [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
        current);
  }
  return plan;
}

// Changes the order until the plan takes no more than `least`, or patience ends: what lies on top
// of the arena is placed earlier, since it found no gap where it came. The same numbers are drawn
// each time, so that a plan is always the same.
void search(const std::vector<Lifetime>& lifetimes, uint64_t alignment, uint64_t least,
            std::vector<size_t> order, uint64_t ceiling, MemoryPlan& best) {
  constexpr size_t kPatience = 100'000'000;  // Pairs of lifetimes to compare, in all.
  const size_t tries = kPatience / std::max<size_t>(1, order.size() * order.size());
  std::minstd_rand random(1);
  for (size_t i = 0; i < std::min<size_t>(tries, 4000) && best.bytes > least; ++i) {
    std::vector<size_t> next = order;
    const auto top = std::ranges::find_if(next, [&](size_t value) {
      return best.offsets[value] + round_up(lifetimes[value].bytes, alignment) == best.bytes;
    });
    // Every other time any value, lest the same ones change places for ever.
    const auto from =
        i % 2 == 0 ? top : next.begin() + static_cast<int64_t>(random() % next.size());
    const auto to = next.begin() + static_cast<int64_t>(random() % next.size());
    to < from ? std::rotate(to, from, from + 1) : std::rotate(from, from + 1, to + 1);
    MemoryPlan plan = place(lifetimes, next, alignment, i % 4 < 2 ? ceiling : least);
    if (plan.bytes > best.bytes) continue;
    best = std::move(plan);
    order = std::move(next);
  }
}

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes, uint64_t alignment) {
  const uint64_t lower_bound = most_alive(lifetimes);
  const uint64_t least = round_up(lower_bound, alignment);
  MemoryPlan best;
  std::vector<size_t> best_order;
  uint64_t best_ceiling = 0;
  for (const Before before : kOrders) {
    const std::vector<size_t> order = in_order(lifetimes, before);
    for (const uint64_t ceiling : {uint64_t{0}, least}) {
      if (!best.offsets.empty() && best.bytes <= least) break;
      MemoryPlan plan = place(lifetimes, order, alignment, ceiling);
      if (!best.offsets.empty() && plan.bytes >= best.bytes) continue;
      best = std::move(plan);
      best_order = order;
      best_ceiling = ceiling;
    }
  }
  search(lifetimes, alignment, least, std::move(best_order), best_ceiling, best);
  best.lower_bound = lower_bound;
  best.lifetimes = lifetimes;
  return best;
}

}  // namespace caldera
