// Greedy, each value into the tightest gap that its lifetime leaves, in each of a few orders, from
// one end of a block and from both; the best is kept. By size alone, from one end, is best for most
// residual networks; pre-activation bottlenecks need both ends, so that what a block keeps alive
// for its sum lies at one of them and the rest stays in one piece.
#include "graph/memory_planner.h"

#include <algorithm>
#include <array>
#include <functional>
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

// A placement as the placer sees it: one row of addresses, in which a block begins at every
// multiple of the limit. What lies in a block is packed from its start, so that a block takes no
// more than its highest value needs.
struct Row {
  std::vector<uint64_t> starts;  // By value.
  std::vector<uint64_t> blocks;  // Bytes used of each.
  uint64_t bytes = 0;            // All blocks together.
};

class Placer {
 public:
  Placer(const std::vector<Lifetime>& lifetimes, uint64_t alignment, uint64_t block_limit)
      : neighbours_(find_neighbours(lifetimes)), block_limit_(block_limit) {
    for (const Lifetime& lifetime : lifetimes)
      bytes_.push_back(round_up(lifetime.bytes, alignment));
  }

  // In this order. Gaps are looked for below `ceiling` first; one that reaches up to it, or to the
  // end of a block, is filled from above, so that what is left stays in one piece. 0: none is.
  Row place(const std::vector<size_t>& order, uint64_t ceiling) const {
    Row row;
    row.starts.assign(bytes_.size(), 0);
    std::vector<bool> placed(bytes_.size());
    std::vector<size_t> others;
    for (const size_t current : order) {
      others.clear();
      for (const size_t other : neighbours_[current]) {
        if (placed[other]) others.push_back(other);
      }
      std::ranges::sort(others, {}, [&](size_t other) { return row.starts[other]; });
      row.starts[current] = tightest_gap(bytes_[current], others, row.starts, ceiling);
      placed[current] = true;
      const size_t block = row.starts[current] / block_limit_;
      if (block >= row.blocks.size()) row.blocks.resize(block + 1, 0);
      row.blocks[block] = std::max(row.blocks[block], top(current, row) - block * block_limit_);
    }
    row.bytes = std::accumulate(row.blocks.begin(), row.blocks.end(), uint64_t{0});
    return row;
  }

  // Where a value's bytes end.
  uint64_t top(size_t value, const Row& row) const { return row.starts[value] + bytes_[value]; }
  Place place_of(size_t value, const Row& row) const {
    return {static_cast<uint32_t>(row.starts[value] / block_limit_),
            row.starts[value] % block_limit_};
  }
  // Whether it lies on top of the last block, where there are fewer bytes to be had.
  bool on_top(size_t value, const Row& row) const {
    return top(value, row) == (row.blocks.size() - 1) * block_limit_ + row.blocks.back();
  }
  // How many values a place() compares, which is what it costs.
  size_t pairs() const {
    size_t sum = bytes_.size();
    for (const auto& list : neighbours_) sum += list.size();
    return sum;
  }

 private:
  // The tightest between `others`, which are placed and sorted by start; else after the last of
  // them.
  uint64_t tightest_gap(uint64_t bytes, const std::vector<size_t>& others,
                        const std::vector<uint64_t>& starts, uint64_t ceiling) const {
    uint64_t end = 0;                // The last end seen.
    uint64_t border = block_limit_;  // The end of the block in which `end` lies.
    uint64_t best = 0;
    uint64_t best_gap = UINT64_MAX;
    const auto consider = [&](uint64_t from, uint64_t to) {
      if (to < from + bytes || to - from >= best_gap) return;
      const bool from_above = ceiling > 0 && from > 0 && (to == ceiling || to == border);
      best = from_above ? to - bytes : from;
      best_gap = to - from;
    };
    // Up to `to`, which may lie some blocks on.
    const auto consider_all = [&](uint64_t to) {
      for (; border < to; border += block_limit_) {
        consider(end, border);
        end = std::max(end, border);
      }
      consider(end, to);
    };
    for (const size_t other : others) {
      consider_all(starts[other]);
      end = std::max(end, starts[other] + bytes_[other]);
      while (border < end) border += block_limit_;
    }
    consider_all(ceiling);
    if (best_gap != UINT64_MAX) return best;
    return end + bytes <= border ? end : border;
  }

  std::vector<std::vector<size_t>> neighbours_;
  std::vector<uint64_t> bytes_;  // Rounded up to the alignment.
  uint64_t block_limit_;
};

// Changes the order until the row takes no more than `enough`, or patience ends. What lies on top
// found no gap where it came: it, or one alive with it, changes its place in the order, and what
// does not make more values lie there stays. The same numbers are drawn each time, so that a plan
// is always the same. Returns how many orders it tried.
int search(const Placer& placer, uint64_t enough, std::vector<size_t> order, uint64_t ceiling,
           const std::vector<Lifetime>& lifetimes, Row& best) {
  constexpr size_t kPatience = 30'000'000;  // Pairs compared, in all: about half a second.
  constexpr size_t kTrial = 100;            // As many pairs' worth of time for all else in a trial.
  const auto on_top = [&](const Row& row) {
    std::vector<size_t> values;
    for (const size_t value : order) {
      if (placer.on_top(value, row)) values.push_back(value);
    }
    return values;
  };
  std::minstd_rand random(1);
  std::vector<size_t> highest = on_top(best);
  int tried = 0;
  for (size_t spent = 0; best.bytes > enough && spent < kPatience;
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
    Row row = placer.place(next, ceiling);
    ++tried;
    if (row.bytes > best.bytes) continue;
    std::vector<size_t> higher = on_top(row);
    if (row.bytes == best.bytes && higher.size() > highest.size()) continue;
    best = std::move(row);
    order = std::move(next);
    highest = std::move(higher);
  }
  return tried;
}

}  // namespace

MemoryPlan plan_memory(const std::vector<Lifetime>& lifetimes, uint64_t alignment,
                       uint64_t block_limit) {
  constexpr uint64_t kNoLimit = uint64_t{1} << 62;  // Twice this is still a number.
  const uint64_t limit =
      std::max(std::min(block_limit, kNoLimit) / alignment, uint64_t{1}) * alignment;
  MemoryPlan plan{.lifetimes = lifetimes, .lower_bound = most_alive(lifetimes, 1)};
  plan.places.resize(lifetimes.size());
  // What no block holds takes no part in what follows.
  std::vector<Lifetime> shared = lifetimes;
  for (Lifetime& lifetime : shared) {
    if (lifetime.bytes > limit) lifetime = {};
  }
  const Placer placer(shared, alignment, limit);
  const uint64_t least = most_alive(shared, alignment);  // That a placement can reach.
  Row best;
  std::vector<size_t> best_order;
  uint64_t best_ceiling = 0;
  for (const Before before : kOrders) {
    const std::vector<size_t> order = in_order(shared, before);
    for (const uint64_t ceiling : {uint64_t{0}, least}) {
      if (!best.starts.empty() && best.bytes <= least) break;
      Row row = placer.place(order, ceiling);
      if (!best.starts.empty() && row.bytes >= best.bytes) continue;
      best = std::move(row);
      best_order = order;
      best_ceiling = ceiling;
    }
  }
  // Between borders the least is seldom to be had, and a hundredth more not worth half a second.
  const uint64_t enough = best.blocks.size() > 1 ? least + least / 100 : least;
  plan.searched = search(placer, enough, std::move(best_order), best_ceiling, shared, best);
  plan.bytes = best.bytes;
  std::vector<uint32_t> blocks(best.blocks.size());  // What each is in the plan, without the empty.
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i] = static_cast<uint32_t>(plan.blocks.size());
    if (best.blocks[i] > 0) plan.blocks.push_back(best.blocks[i]);
  }
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    if (shared[i].used()) {
      plan.places[i] = placer.place_of(i, best);
      plan.places[i].block = blocks[plan.places[i].block];
    } else if (lifetimes[i].used()) {
      plan.places[i] = {static_cast<uint32_t>(plan.blocks.size()), 0};
      plan.blocks.push_back(round_up(lifetimes[i].bytes, alignment));
      plan.bytes += plan.blocks.back();
    }
  }
  return plan;
}

bool fits(const MemoryPlan& plan, std::span<const uint64_t> blocks) {
  return plan.blocks.size() <= blocks.size() &&
         std::equal(plan.blocks.begin(), plan.blocks.end(), blocks.begin(), std::less_equal<>());
}

Place EndToEnd::add(uint64_t bytes) {
  if (blocks_.empty() || bytes > block_limit_ || blocks_.back() > block_limit_ - bytes) {
    blocks_.push_back(0);
  }
  const Place place{static_cast<uint32_t>(blocks_.size() - 1), blocks_.back()};
  blocks_.back() += bytes;
  return place;
}

uint64_t EndToEnd::bytes() const {
  return std::accumulate(blocks_.begin(), blocks_.end(), uint64_t{0});
}

}  // namespace caldera
