// The loader: every sample once and in order however many threads there are, errors in their
// place, never further ahead than told, and an end at any time.
#include <atomic>
#include <chrono>
#include <new>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/dataset.h"

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Images whose width tells their index.
class ImageLoaderTest : public ::testing::Test {
 protected:
  static constexpr size_t kCount = 60;

  ImageLoaderTest() {
    for (size_t i = 0; i < kCount; ++i) {
      paths_.push_back(scratch_ / (std::to_string(i) + ".png"));
      test::write_bytes(paths_.back(),
                        test::encode_png(test::make_image(static_cast<int32_t>(i + 1), 2)));
    }
  }

  static std::vector<float> width_of(const Image& image) {
    return {static_cast<float>(image.width)};
  }

  test::ScratchDir scratch_;
  std::vector<fs::path> paths_;
};

TEST_F(ImageLoaderTest, DeliversInOrder) {
  for (const int threads : {-1, 1, 2, 5, 100}) {
    for (const int ahead : {0, 1, 3, 1000}) {
      ImageLoader loader(paths_, width_of, threads, ahead);
      ImageLoader::Item item;
      for (size_t i = 0; i < kCount; ++i) {
        ASSERT_TRUE(loader.next(item));
        ASSERT_EQ(item.index, i);
        ASSERT_TRUE(item.values.ok()) << item.values.error().message;
        ASSERT_EQ(*item.values, std::vector<float>{static_cast<float>(i + 1)});
      }
      EXPECT_FALSE(loader.next(item));
      EXPECT_FALSE(loader.next(item));
      EXPECT_GE(loader.seconds_waited(), 0);
    }
  }
}

TEST_F(ImageLoaderTest, OfNothingEndsAtOnce) {
  ImageLoader loader({}, width_of, 4, 8);
  ImageLoader::Item item;
  EXPECT_FALSE(loader.next(item));
}

TEST_F(ImageLoaderTest, DeliversErrorsInTheirPlace) {
  test::write_bytes(paths_[7], {1, 2, 3});
  fs::remove(paths_[20]);
  const auto transform = [](const Image& image) {
    if (image.width == 31) throw std::runtime_error("thirty-one");
    if (image.width == 41) throw std::bad_alloc();
    return width_of(image);
  };
  ImageLoader loader(paths_, transform, 3, 10);
  ImageLoader::Item item;
  std::vector<size_t> failed;
  while (loader.next(item)) {
    if (item.values.ok()) continue;
    failed.push_back(item.index);
    EXPECT_THAT(item.values.error().message, HasSubstr(paths_[item.index].string()));
    if (item.index == 40) {
      EXPECT_EQ(item.values.error().code, ErrorCode::kOutOfMemory);
    }
  }
  EXPECT_EQ(item.index, kCount - 1);
  EXPECT_THAT(failed, ::testing::ElementsAre(7, 20, 30, 40));
}

TEST_F(ImageLoaderTest, RunsNoFurtherAheadThanTold) {
  std::atomic<int> made = 0;
  const auto transform = [&](const Image& image) {
    ++made;
    return width_of(image);
  };
  ImageLoader loader(paths_, transform, 4, 5);
  ImageLoader::Item item;
  for (int read = 0; read < 20; ++read) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_LE(made, read + 5);
    ASSERT_TRUE(loader.next(item));
  }
}

TEST_F(ImageLoaderTest, WorksOnSeveralSamplesAtOnce) {
  // Each of two waits until the other runs: with one at a time this would not end in time.
  std::atomic<int> running = 0;
  std::atomic<bool> met = false;
  const auto transform = [&](const Image& image) {
    ++running;
    for (int i = 0; i < 5000 && !met; ++i) {
      if (running >= 2) met = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    --running;
    return width_of(image);
  };
  ImageLoader loader({paths_[0], paths_[1]}, transform, 2, 2);
  ImageLoader::Item item;
  while (loader.next(item)) {
  }
  EXPECT_TRUE(met);
}

TEST_F(ImageLoaderTest, CanBeDestroyedAtAnyTime) {
  for (size_t reads = 0; reads < 30; ++reads) {
    ImageLoader loader(paths_, width_of, 4, 6);
    ImageLoader::Item item;
    for (size_t i = 0; i < reads; ++i) ASSERT_TRUE(loader.next(item));
  }
}

TEST_F(ImageLoaderTest, CountsTheTimeThatTheReaderWaits) {
  const auto slow = [](const Image& image) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return width_of(image);
  };
  ImageLoader loader({paths_[0], paths_[1]}, slow, 1, 2);
  ImageLoader::Item item;
  while (loader.next(item)) {
  }
  EXPECT_GT(loader.seconds_waited(), 0.03);
}

}  // namespace
}  // namespace caldera
