// Overlap of byte ranges, by scanning: see the header for why ranges.
#include "runtime/hazard_tracker.h"

#include <algorithm>

namespace caldera {

namespace {

bool conflict(const Access& a, const Access& b) {
  return a.buffer == b.buffer && (a.write || b.write) && a.begin < b.end && b.begin < a.end;
}

}  // namespace

// Pending accesses number tens at most, since any chain of layers clears them soon: a scan beats
// an interval tree.
bool HazardTracker::needs_barrier(std::span<const Access> accesses) const {
  return std::any_of(accesses.begin(), accesses.end(), [&](const Access& access) {
    return std::any_of(pending_.begin(), pending_.end(),
                       [&](const Access& earlier) { return conflict(earlier, access); });
  });
}

void HazardTracker::add(std::span<const Access> accesses) {
  pending_.insert(pending_.end(), accesses.begin(), accesses.end());
}

}  // namespace caldera
