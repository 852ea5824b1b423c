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

// Each value rounded up to the alignment.
uint64_t most_alive(const std::vector<Lifetime>& lifetimes, uint64_t alignment) {
  std::map<int64_t, int64_t> changes;  // Step -> bytes that come or go before it.
  for (const Lifetime& lifetime : lifetimes) {
    if (!lifetime.used()) continue;
    const auto bytes = static_cast<int64_t>(round_up(lifetime.bytes, alignment));
    changes[lifetime.first] += bytes;
    changes[lifetime.last + 1] -= bytes;
  }
  int64_t alive = 0;
  int64_t most = 0;
  for (const auto& [step, change] : changes) most = std::max(most, alive += change);
  return static_cast<uint64_t>(most);
}

uint64_t length(const Lifetime& lifetime) {
  return static_cast<uint64_t>(lifetime.last - lifetime.first + 1);
}

constexpr int64_t kReach = 4;  // Steps, of search().

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

// By lifetime: those alive at the same time as it.
std::vector<std::vector<size_t>> find_neighbours(const std::vector<Lifetime>& lifetimes) {
  const std::vector<size_t> by_first =
      in_order(lifetimes, [](const Lifetime& a, const Lifetime& b) { return a.first < b.first; });
  std::vector<std::vector<size_t>> neighbours(lifetimes.size());
  std::vector<size_t> alive;
  for (const size_t current : by_first) {
    std::erase_if(alive, [&](size_t i) { return lifetimes[i].last < lifetimes[current].first; });
    for (const size_t other : alive) {
      neighbours[current].push_back(other);
      neighbours[other].push_back(current);
    }
    alive.push_back(current);
  }
  return neighbours;
}

class Placer {
 public:
  Placer(const std::vector<Lifetime>& lifetimes, uint64_t alignment)
      : neighbours_(find_neighbours(lifetimes)) {
    for (const Lifetime& lifetime : lifetimes)
      bytes_.push_back(round_up(lifetime.bytes, alignment));
  }

  // The offsets, and the bytes in all, of one order. Gaps are looked for below `ceiling` first; one
  // that reaches up to it is filled from above, so that what is left stays in one piece.
  MemoryPlan place(const std::vector<size_t>& order, uint64_t ceiling) const {
    MemoryPlan plan;
    plan.offsets.assign(bytes_.size(), 0);
    std::vector<bool> placed(bytes_.size());
    std::vector<size_t> others;
    for (const size_t current : order) {
      others.clear();
      for (const size_t other : neighbours_[current]) {
        if (placed[other]) others.push_back(other);
      }
      std::ranges::sort(others, {}, [&](size_t other) { return plan.offsets[other]; });
      plan.offsets[current] = tightest_gap(bytes_[current], others, plan.offsets, ceiling);
      plan.bytes = std::max(plan.bytes, top(current, plan));
      placed[current] = true;
    }
    return plan;
  }

  // Where a value's bytes end.
  uint64_t top(size_t value, const MemoryPlan& plan) const {
    return plan.offsets[value] + bytes_[value];
  }
  // How many values a place() compares, which is what it costs.
  size_t pairs() const {
    size_t sum = bytes_.size();
    for (const auto& list : neighbours_) sum += list.size();
    return sum;
  }

 private:
  // Of those between `others`, which are placed and sorted by offset; else after the last of them.
  uint64_t tightest_gap(uint64_t bytes, const std::vector<size_t>& others,
                        const std::vector<uint64_t>& offsets, uint64_t ceiling) const {
    uint64_t end = 0;
    uint64_t best = 0;
    uint64_t best_gap = UINT64_MAX;
    const auto consider = [&](uint64_t from, uint64_t to) {
      if (to < from + bytes || to - from >= best_gap) return;
      best = from > 0 && to == ceiling ? to - bytes : from;
      best_gap = to - from;
    };
    for (const size_t other : others) {
      consider(end, offsets[other]);
      end = std::max(end, offsets[other] + bytes_[other]);
    }
    consider(end, ceiling);
    return best_gap == UINT64_MAX ? end : best;
  }

  std::vector<std::vector<size_t>> neighbours_;
  std::vector<uint64_t> bytes_;  // Rounded up to the alignment.
};

// Changes the order until the plan takes no more than `least`, or patience ends. What lies on top
// of the arena found no gap where it came: it, or one alive with it, changes its place in the
// order, and what does not make more values lie there stays. The same numbers are drawn each time,
// so that a plan is always the same.
void search(const Placer& placer, uint64_t least, std::vector<size_t> order, uint64_t ceiling,
            const std::vector<Lifetime>& lifetimes, MemoryPlan& best) {
  constexpr size_t kPatience = 30'000'000;  // Pairs compared, in all: about half a second.
  constexpr size_t kTrial = 100;            // As many pairs' worth of time for all else in a trial.
  const auto on_top = [&](const MemoryPlan& plan) {
    std::vector<size_t> values;
    for (const size_t value : order) {
      if (placer.top(value, plan) == plan.bytes) values.push_back(value);
    }
    return values;
  };
  std::minstd_rand random(1);
  std::vector<size_t> highest = on_top(best);
  for (size_t spent = 0; best.bytes > least && spent < kPatience;
       spent += placer.pairs() + kTrial) {
    const Lifetime& culprit = lifetimes[highest[random() % highest.size()]];
    std::vector<size_t> near;  // Places in the order.
    for (size_t i = 0; i < order.size(); ++i) {
      const Lifetime& other = lifetimes[order[i]];
      // Alive with it, or but for a few steps.
      if (other.first <= culprit.last + kReach && culprit.first <= other.last + kReach) {
        near.push_back(i);
      }
    }
    const size_t from = near[random() % near.size()];
    const size_t to = near[random() % near.size()];
    std::vector<size_t> next = order;
    const auto at = [&](size_t i) { return next.begin() + static_cast<int64_t>(i); };
    to < from ? std::rotate(at(to), at(from), at(from + 1))
              : std::rotate(at(from), at(from + 1), at(to + 1));
    MemoryPlan plan = placer.place(next, ceiling);
    ++best.searched;
    if (plan.bytes > best.bytes) continue;
    std::vector<size_t> higher = on_top(plan);
    if (plan.bytes == best.bytes && higher.size() > highest.size()) continue;
    plan.searched = best.searched;
    best = std::move(plan);
    order = std::move(next);
    highest = std::move(higher);
  }
}

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes, uint64_t alignment) {
  const Placer placer(lifetimes, alignment);
  const uint64_t least = most_alive(lifetimes, alignment);  // That a placement can reach.
  MemoryPlan best;
  std::vector<size_t> best_order;
  uint64_t best_ceiling = 0;
  for (const Before before : kOrders) {
    const std::vector<size_t> order = in_order(lifetimes, before);
    for (const uint64_t ceiling : {uint64_t{0}, least}) {
      if (!best.offsets.empty() && best.bytes <= least) break;
      MemoryPlan plan = placer.place(order, ceiling);
      if (!best.offsets.empty() && plan.bytes >= best.bytes) continue;
      best = std::move(plan);
      best_order = order;
      best_ceiling = ceiling;
    }
  }
  search(placer, least, std::move(best_order), best_ceiling, lifetimes, best);
  best.lower_bound = most_alive(lifetimes, 1);
  best.lifetimes = lifetimes;
  return best;
}

}  // namespace caldera
