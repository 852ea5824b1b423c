// Bytes into device memory and back, in portions, and what that takes of the device.
#include "runtime/upload.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/device_impl.h"
#include "runtime/recorder.h"
#include "tests/support/device.h"

namespace caldera {
namespace {

constexpr size_t kItems = 10;
constexpr uint64_t kBytes = 1024;  // Each; between them lie gaps of as many.

// By turns in one of two blocks.
Place place_of(size_t item) {
  return {static_cast<uint32_t>(item % 2), item / 2 * 2 * kBytes};
}

Blocks two_blocks(const std::shared_ptr<DeviceImpl>& device) {
  constexpr std::array<uint64_t, 2> kSizes = {kItems * kBytes, kItems * kBytes};
  return Blocks::create(device, kSizes, "a test's").value();
}

std::byte pattern(size_t item, size_t at) {
  return static_cast<std::byte>(item * 31 + at % 251 + 1);
}

std::vector<UploadItem> written_items() {
  std::vector<UploadItem> items;
  for (size_t i = 0; i < kItems; ++i) {
    items.push_back({place_of(i), kBytes, [i](std::span<std::byte> to) {
                       for (size_t at = 0; at < to.size(); ++at) to[at] = pattern(i, at);
                     }});
  }
  return items;
}

TEST(Transfers, BringBackWhatWasWrittenInPortionsOfAnySize) {
  CALDERA_REQUIRE_DEVICE(device);
  const std::shared_ptr<DeviceImpl> impl = device.impl().shared_from_this();
  const Blocks blocks = two_blocks(impl);
  ASSERT_TRUE(upload(impl, blocks, written_items()).ok());
  for (const uint64_t portion : {uint64_t{1}, 3 * kBytes, kStagingPortion}) {
    SCOPED_TRACE(portion);
    std::vector<std::vector<std::byte>> got(kItems);
    std::vector<DownloadItem> items;
    for (size_t i = 0; i < kItems; ++i) {
      items.push_back({place_of(i), kBytes, [&to = got[i]](std::span<const std::byte> from) {
                         to.assign(from.begin(), from.end());
                       }});
    }
    const DeviceCounts before = impl->counts();
    ASSERT_TRUE(download(impl, blocks, items, portion).ok());
    const DeviceCounts after = impl->counts();
    for (size_t i = 0; i < kItems; ++i) {
      ASSERT_EQ(got[i].size(), kBytes);
      for (size_t at = 0; at < kBytes; ++at) ASSERT_EQ(got[i][at], pattern(i, at)) << i;
    }
    const uint64_t portions = portion == 1 ? 10 : portion == 3 * kBytes ? 4 : 1;
    EXPECT_EQ(after.buffers - before.buffers, 1u);
    EXPECT_EQ(after.waits - before.waits, portions);
  }
}

TEST(Transfers, TakeCommandPoolsAndFencesAgain) {
  CALDERA_REQUIRE_DEVICE(device);
  const std::shared_ptr<DeviceImpl> impl = device.impl().shared_from_this();
  const Blocks blocks = two_blocks(impl);
  const DownloadItem item{{}, kBytes, [](std::span<const std::byte>) {}};
  ASSERT_TRUE(download(impl, blocks, std::span(&item, 1)).ok());
  const DeviceCounts before = impl->counts();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(download(impl, blocks, std::span(&item, 1)).ok());
  const DeviceCounts after = impl->counts();
  EXPECT_EQ(after.command_pools, before.command_pools);
  EXPECT_EQ(after.fences, before.fences);
  EXPECT_EQ(after.waits - before.waits, 100u);
}

// As where a run's forward pass was begun and its step is not to follow.
TEST(Transfers, AListOfWhichAPartWasSubmittedIsWaitedForAndRunsAgain) {
  CALDERA_REQUIRE_DEVICE(device);
  const std::shared_ptr<DeviceImpl> impl = device.impl().shared_from_this();
  const Buffer buffer = Buffer::create(impl, kBytes, MemoryKind::kReadback, "a test's").value();
  const auto word = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, buffer.mapped().data() + at * sizeof(value), sizeof(value));
    return value;
  };
  Recorder recorder = Recorder::create(impl).value();
  recorder.fill(buffer, 1);
  ASSERT_TRUE(recorder.split().ok());
  recorder.fill(buffer, 2);
  CommandList commands = std::move(recorder).finish().value();
  ASSERT_EQ(commands.submits(), 2u);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(commands.submit_first(1).ok());
    ASSERT_TRUE(commands.drain().ok());
    ASSERT_TRUE(commands.submit_first(1).ok());
    ASSERT_TRUE(commands.run().ok());
    EXPECT_EQ(word(7), 2u);
  }
}

}  // namespace
}  // namespace caldera
