// Listing, choosing and opening devices, and the pipeline cache on disk.
#include "caldera/device.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/device.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using testing::HasSubstr;

TEST(Devices, TellWhatTheyAre) {
  CALDERA_REQUIRE_DEVICE(device);
  const auto list = list_devices();
  ASSERT_TRUE(list.ok()) << list.error().message;
  ASSERT_FALSE(list->empty());
  for (size_t i = 0; i < list->size(); ++i) {
    const DeviceInfo& info = (*list)[i];
    EXPECT_EQ(info.index, static_cast<int>(i));
    EXPECT_FALSE(info.name.empty());
    EXPECT_EQ(info.uuid.size(), 32u);
    EXPECT_GT(info.memory_bytes, 0u);
    EXPECT_GE(info.max_storage_buffer_range, uint64_t{1} << 27);
    EXPECT_GE(info.subgroup_size, 4u);
  }
  EXPECT_EQ(device.info().uuid, list->front().uuid);
}

TEST(Devices, AreFoundByIndexNameAndUuid) {
  CALDERA_REQUIRE_DEVICE(device);
  const DeviceInfo& info = device.info();
  std::string shouted = info.name.substr(0, 6);
  for (char& c : shouted) c = static_cast<char>(std::toupper(c));
  for (const std::string& selector :
       {std::string(), std::string("0"), info.name, shouted, info.uuid, info.uuid.substr(0, 8)}) {
    DeviceOptions options;
    options.device = selector;
    const auto opened = Device::open(options);
    ASSERT_TRUE(opened.ok()) << selector << ": " << opened.error().message;
    EXPECT_EQ(opened->info().uuid, info.uuid) << selector;
  }
}

TEST(Devices, ThatAreNotThereAreRefusedWithAListOfThoseThatAre) {
  CALDERA_REQUIRE_DEVICE(device);
  for (const char* selector : {"99", "no such GPU", "ffffffffffffffffffffffffffffffff"}) {
    DeviceOptions options;
    options.device = selector;
    const auto opened = Device::open(options);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(opened.error().message, HasSubstr(selector));
    EXPECT_THAT(opened.error().message, HasSubstr(device.info().name));
  }
}

TEST(Devices, LiveSideBySide) {
  CALDERA_REQUIRE_DEVICE(device);
  const auto first = Device::open();
  const auto second = Device::open();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->info().uuid, second->info().uuid);
  EXPECT_EQ(first->allocation_count(), 0u);
}

TEST(PipelineCacheOnDisk, ADamagedFileIsPassedOver) {
  CALDERA_REQUIRE_DEVICE(device);
  const test::ScratchDir scratch;
  DeviceOptions options;
  options.cache_dir = scratch.path();
  ASSERT_TRUE(Device::open(options).ok());
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
    std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << "not a cache";
  }
  EXPECT_TRUE(Device::open(options).ok());
}

}  // namespace
}  // namespace caldera
