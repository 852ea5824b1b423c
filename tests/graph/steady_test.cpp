// The steady state: after the first run nothing is allocated, on the host or on the device. Every
// operator new of this program is counted; validation is off, since its layers allocate at will.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "caldera/session.h"

#include "tests/graph/counting_new.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_net.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

constexpr int kRuns = 1000;

// Bytes of memory in use by this process; 0 where the system does not tell. Allocates nothing.
uint64_t resident_bytes() {
  char text[128] = {};
  const int file = open("/proc/self/statm", O_RDONLY);
  if (file < 0) return 0;
  const bool got = read(file, text, sizeof(text) - 1) > 0;
  close(file);
  unsigned long long size = 0, resident = 0;  // In pages.
  if (!got || std::sscanf(text, "%llu %llu", &size, &resident) != 2) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST(SteadyState, AllocatesNothingInAThousandRuns) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  auto device = open_without_validation();
  ASSERT_TRUE(device.ok()) << device.error().message;
  const Graph graph = small_net(2);
  auto session = Session::create(*device, graph, random_weights(graph));
  ASSERT_TRUE(session.ok()) << session.error().message;
  const std::vector<float> input = random_inputs(graph)[0];
  std::vector<float> first(10), output(10);
  ASSERT_TRUE(session->run(input, first).ok());

  const uint64_t device_before = device->allocation_count();
  const uint64_t host_before = allocations();
  int failed = 0, different = 0;
  uint64_t resident_before = 0;
  for (int i = 0; i < kRuns; ++i) {
    // Drivers touch fresh pages of their own in the first few runs.
    if (i == kRuns / 10) resident_before = resident_bytes();
    failed += !session->run(input, output).ok();
    different += output != first;
  }
  const uint64_t host_after = allocations();
  const uint64_t resident_after = resident_bytes();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(different, 0);
  EXPECT_EQ(device->allocation_count(), device_before);
  EXPECT_EQ(host_after - host_before, 0u) << "in " << kRuns << " runs";
  // lavapipe's own heap grows by 3 MiB in its first 3,000 runs, and by nothing in the next 5,000.
  EXPECT_LT(resident_after, resident_before + (uint64_t{2} << 20));
}

TEST(SteadyState, AllocatesNothingWithTwoRunsUnderWay) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  auto device = open_without_validation();
  ASSERT_TRUE(device.ok()) << device.error().message;
  const Graph graph = small_net(2);
  auto session = Session::create(*device, graph, random_weights(graph), {.frames_in_flight = 2});
  ASSERT_TRUE(session.ok()) << session.error().message;
  const std::vector<float> input = random_inputs(graph)[0];
  std::vector<float> first(10), output(10);
  const std::span<const float> in(input);
  const std::span<float> out(output);
  // Each frame once.
  ASSERT_TRUE(session->run(input, first).ok());
  ASSERT_TRUE(session->run(input, first).ok());
  ASSERT_TRUE(session->submit(std::span(&in, 1)).ok());

  const uint64_t device_before = device->allocation_count();
  const uint64_t host_before = allocations();
  int failed = 0, different = 0;
  for (int i = 0; i < kRuns; ++i) {
    failed += !session->submit(std::span(&in, 1)).ok();
    failed += !session->wait(std::span(&out, 1)).ok();
    different += output != first;
  }
  const uint64_t host_after = allocations();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(different, 0);
  EXPECT_EQ(device->allocation_count(), device_before);
  EXPECT_EQ(host_after - host_before, 0u) << "in " << kRuns << " runs";
}

TEST(SteadyState, FreesWhatASessionHeld) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(2);
  const uint64_t before = device.allocated_bytes();
  {
    auto session = Session::create(device, graph, random_weights(graph));
    ASSERT_TRUE(session.ok()) << session.error().message;
    EXPECT_GT(device.allocated_bytes(), before);
  }
  EXPECT_EQ(device.allocated_bytes(), before);
}

}  // namespace
}  // namespace caldera::test
