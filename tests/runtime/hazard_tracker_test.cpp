// Where a barrier is needed, and where it is not.
#include "runtime/hazard_tracker.h"

#include <array>

#include <gtest/gtest.h>

namespace caldera {
namespace {

Access read(uint64_t buffer, uint64_t begin, uint64_t end) {
  return {buffer, begin, end, false};
}
Access write(uint64_t buffer, uint64_t begin, uint64_t end) {
  return {buffer, begin, end, true};
}

class Hazards : public testing::Test {
 protected:
  bool needed(Access access) const { return tracker_.needs_barrier(std::array{access}); }
  void add(Access access) { tracker_.add(std::array{access}); }
  HazardTracker tracker_;
};

TEST_F(Hazards, ReadAfterWriteWaits) {
  add(write(1, 0, 100));
  EXPECT_TRUE(needed(read(1, 50, 60)));
}

TEST_F(Hazards, WriteAfterReadWaits) {
  add(read(1, 0, 100));
  EXPECT_TRUE(needed(write(1, 99, 200)));
}

TEST_F(Hazards, WriteAfterWriteWaits) {
  add(write(1, 0, 100));
  EXPECT_TRUE(needed(write(1, 0, 100)));
}

TEST_F(Hazards, ReadsOverlap) {
  add(read(1, 0, 100));
  EXPECT_FALSE(needed(read(1, 0, 100)));
}

TEST_F(Hazards, RangesThatOnlyTouchOverlap) {
  add(write(1, 0, 100));
  EXPECT_FALSE(needed(write(1, 100, 200)));
  EXPECT_FALSE(needed(read(2, 0, 100)));
}

TEST_F(Hazards, ABarrierClearsWhatCameBefore) {
  add(write(1, 0, 100));
  tracker_.clear();
  EXPECT_FALSE(needed(read(1, 0, 100)));
}

}  // namespace
}  // namespace caldera
