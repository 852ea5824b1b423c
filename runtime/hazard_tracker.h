// Decides where a barrier is needed: which byte ranges of which buffers the dispatches since the
// last barrier read and wrote. Ranges, not buffers, so that values that share an arena overlap
// freely until their memory really does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace caldera {

struct Access {
  uint64_t buffer = 0;  // Any number that tells buffers apart.
  uint64_t begin = 0;
  uint64_t end = 0;  // Exclusive.
  bool write = false;
};

class HazardTracker {
 public:
  // Whether a dispatch with these accesses must wait for the ones added since the last clear():
  // read after write, write after read, or write after write.
  bool needs_barrier(std::span<const Access> accesses) const;
  void add(std::span<const Access> accesses);
  void clear() { pending_.clear(); }

 private:
  std::vector<Access> pending_;
};

}  // namespace caldera
