// The steady state: after the first run or training step nothing is allocated, on the host or on
// the device. Every operator new of this program is counted; validation is off, since its layers
// allocate at will.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "caldera/session.h"
#include "caldera/trainer.h"

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

// A step is many dispatches, each of which costs a CPU driver much: less than small_net.
Graph tiny_net() {
  GraphBuilder b;
  ValueId x = b.input("x", {2, 3, 6, 6});
  x = b.relu("relu", b.batch_norm("bn", b.conv2d("conv", x, 4, {3, 3}, {.padding = {1, 1}})));
  x = b.flatten("flatten", b.adaptive_avg_pool2d("avg", x, {{1, 1}}));
  b.output(b.linear("fc", b.dropout("dropout", x, {}), 5));
  return std::move(b).finish().value();
}

TEST(SteadyState, AllocatesNothingInAThousandTrainingSteps) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  auto device = open_without_validation();
  ASSERT_TRUE(device.ok()) << device.error().message;
  const Graph graph = tiny_net();
  TrainerOptions options;
  options.spec.optimizer = {.momentum = 0.9f, .max_norm = 1};
  auto trainer = Trainer::create(*device, graph, random_weights(graph), options);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  const std::vector<float> images = random_inputs(graph)[0];
  const std::vector<float> targets(10, 0.1f);
  ASSERT_TRUE(trainer->step(images, targets, 0.001f).ok());

  const uint64_t device_before = device->allocation_count();
  const uint64_t host_before = allocations();
  int failed = 0;
  uint64_t resident_before = 0;
  for (int i = 0; i < kRuns; ++i) {
    if (i == kRuns / 10) resident_before = resident_bytes();
    const auto result = trainer->step(images, targets, 0.001f);
    failed += !result.ok() || result->skipped;
  }
  const uint64_t host_after = allocations();
  const uint64_t resident_after = resident_bytes();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(device->allocation_count(), device_before);
  EXPECT_EQ(host_after - host_before, 0u) << "in " << kRuns << " steps";
  // lavapipe's heap grows by a MiB at a time: twice in the first 1,000 steps, once in 5,000 more.
  EXPECT_LT(resident_after, resident_before + (uint64_t{4} << 20));
}

TEST(SteadyState, AllocatesNothingInStepsThatBeginEarly) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  auto device = open_without_validation();
  ASSERT_TRUE(device.ok()) << device.error().message;
  const Graph graph = tiny_net();
  TrainerOptions options;
  options.session.frames_in_flight = 2;
  auto trainer = Trainer::create(*device, graph, random_weights(graph), options);
  ASSERT_TRUE(trainer.ok()) << trainer.error().message;
  const std::vector<float> images = random_inputs(graph)[0];
  const std::vector<float> targets(10, 0.1f);
  int failed = 0;
  const auto step = [&] {
    failed += !trainer->begin(images, targets).ok();
    failed += !trainer->wait().ok();
    failed += !trainer->commit(0.001f, true).ok();
  };
  ASSERT_TRUE(trainer->begin(images, targets).ok());
  ASSERT_TRUE(trainer->commit(0.001f, true).ok());
  for (int i = 0; i < 2; ++i) step();  // Each frame once.

  const uint64_t device_before = device->allocation_count();
  const uint64_t host_before = allocations();
  for (int i = 0; i < 100; ++i) step();
  const uint64_t host_after = allocations();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(device->allocation_count(), device_before);
  EXPECT_EQ(host_after - host_before, 0u);
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
