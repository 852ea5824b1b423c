// The loader of batches: each epoch's order cut into batches, the same whatever the threads, the
// cache and the place where it begins; bad files left out, and named once.
#include "caldera/batch_loader.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Preprocess kPlain{};

TEST(EpochOrder, IsAPermutationOfItsSeedAndEpoch) {
  const std::vector<int64_t> first = epoch_order(100, true, 1, 0);
  EXPECT_EQ(epoch_order(100, true, 1, 0), first);
  EXPECT_NE(epoch_order(100, true, 1, 1), first);
  EXPECT_NE(epoch_order(100, true, 2, 0), first);
  EXPECT_EQ(std::set<int64_t>(first.begin(), first.end()).size(), 100u);
  EXPECT_THAT(epoch_order(4, false, 1, 7), ElementsAre(0, 1, 2, 3));
}

TEST(EpochOrder, PutsEachSampleAtEachPlaceAlikeOften) {
  std::array<std::array<int, 5>, 5> count{};
  for (int64_t epoch = 0; epoch < 5000; ++epoch) {
    const std::vector<int64_t> order = epoch_order(5, true, 1, epoch);
    for (size_t place = 0; place < 5; ++place) ++count[static_cast<size_t>(order[place])][place];
  }
  for (const auto& row : count) {
    for (const int n : row) EXPECT_NEAR(n, 1000, 120);
  }
}

TEST(BatchesAnEpoch, CountsTheLastUnlessItIsDropped) {
  EXPECT_EQ(batches_an_epoch(10, 4, false), 3);
  EXPECT_EQ(batches_an_epoch(10, 4, true), 2);
  EXPECT_EQ(batches_an_epoch(8, 4, false), 2);
  EXPECT_EQ(batches_an_epoch(3, 4, true), 0);
}

// Images of one colour, which tells their index.
class BatchLoaderTest : public ::testing::Test {
 protected:
  static constexpr int64_t kCount = 53;

  BatchLoaderTest() {
    folder_.classes = {"even", "odd"};
    for (int64_t i = 0; i < kCount; ++i) {
      const auto path = scratch_ / (std::to_string(i) + ".png");
      test::write_bytes(path, test::encode_png({4, 3, std::vector<uint8_t>(36, color(i))}));
      folder_.samples.push_back({path, static_cast<int32_t>(i % 2)});
    }
  }

  static uint8_t color(int64_t sample) { return static_cast<uint8_t>(10 + 4 * sample); }

  void damage(const std::vector<int64_t>& samples) {
    for (const int64_t sample : samples) {
      test::write_bytes(folder_.samples[static_cast<size_t>(sample)].path, {1, 2, 3});
    }
  }

  BatchLoader open(const BatchOptions& options, int32_t width = 4, int32_t height = 3) {
    auto loader = BatchLoader::create(folder_, kPlain, width, height, options);
    EXPECT_TRUE(loader.ok()) << loader.error().message;
    return std::move(loader).value();
  }

  // The batches up to the end of epoch `last`, each end as a batch without samples.
  std::vector<Batch> read(BatchLoader& loader, int64_t last) {
    std::vector<Batch> out;
    for (;;) {
      Batch batch;
      const auto more = loader.next(batch);
      EXPECT_TRUE(more.ok()) << more.error().message;
      if (!more.ok()) return out;
      out.push_back(std::move(batch));
      if (!*more && out.back().epoch >= last) return out;
    }
  }
  std::vector<Batch> read(const BatchOptions& options, int64_t last) {
    BatchLoader loader = open(options);
    return read(loader, last);
  }

  test::ScratchDir scratch_;
  ImageFolder folder_;
};

void expect_same(const std::vector<Batch>& actual, std::span<const Batch> wanted) {
  ASSERT_EQ(actual.size(), wanted.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].epoch, wanted[i].epoch);
    EXPECT_EQ(actual[i].index, wanted[i].index);
    EXPECT_EQ(actual[i].samples, wanted[i].samples);
    EXPECT_EQ(actual[i].labels, wanted[i].labels);
    EXPECT_TRUE(actual[i].images == wanted[i].images);
  }
}

std::vector<int64_t> bad_in(const std::vector<Batch>& batches) {
  std::vector<int64_t> out;
  for (const Batch& batch : batches) {
    for (const BadSample& bad : batch.bad) out.push_back(bad.sample);
  }
  return out;
}

BatchOptions augmenting() {
  BatchOptions options{.batch = 8, .seed = 3, .threads = 2};
  options.augmentation = find_augmentation("imagenet").value();
  return options;
}

TEST_F(BatchLoaderTest, WithoutShuffleReadsTheFilesInOrder) {
  const auto batches = read({.batch = 20, .shuffle = false, .threads = 2}, 0);
  ASSERT_EQ(batches.size(), 4u);
  int64_t next = 0;
  for (size_t b = 0; b < 3; ++b) {
    const Batch& batch = batches[b];
    ASSERT_EQ(batch.samples.size(), b < 2 ? 20u : 13u);
    ASSERT_EQ(batch.images.size(), batch.samples.size() * 36);
    for (size_t i = 0; i < batch.samples.size(); ++i, ++next) {
      EXPECT_EQ(batch.samples[i], next);
      EXPECT_EQ(batch.labels[i], next % 2);
      for (size_t k = 0; k < 36; ++k) {
        ASSERT_EQ(batch.images[i * 36 + k], static_cast<float>(color(next)) / 255.0f);
      }
    }
  }
  EXPECT_THAT(batches[3].samples, IsEmpty());
}

TEST_F(BatchLoaderTest, ShufflesEachEpochByItsOrder) {
  const auto batches = read({.batch = kCount, .seed = 5, .threads = 3}, 2);
  ASSERT_EQ(batches.size(), 6u);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const Batch& batch = batches[static_cast<size_t>(2 * epoch)];
    EXPECT_EQ(batch.epoch, epoch);
    EXPECT_EQ(batch.samples, epoch_order(kCount, true, 5, epoch));
  }
}

TEST_F(BatchLoaderTest, DropsTheLastBatchWhereItIsNotFull) {
  const auto batches = read({.batch = 20, .drop_last = true, .threads = 2}, 1);
  ASSERT_EQ(batches.size(), 6u);
  for (const size_t full : {0u, 1u, 3u, 4u}) EXPECT_EQ(batches[full].samples.size(), 20u);
  EXPECT_THAT(batches[2].samples, IsEmpty());
}

TEST_F(BatchLoaderTest, GivesTheSameBitsWhateverTheThreadsAndTheCache) {
  damage({4, 17, 18});
  const auto wanted = read(augmenting(), 2);
  for (const int threads : {1, 3, 8}) {
    for (const size_t cache : {size_t{0}, size_t{1000}, size_t{1} << 20}) {
      BatchOptions options = augmenting();
      options.threads = threads;
      options.cache_bytes = cache;
      const auto batches = read(options, 2);
      expect_same(batches, wanted);
      EXPECT_EQ(bad_in(batches), bad_in(wanted));
    }
  }
}

TEST_F(BatchLoaderTest, GoesOnFromAnyBatchAsTheWholeRunWould) {
  damage({0, 4, 17, 18, 40});
  BatchLoader whole = open(augmenting());
  const std::vector<Batch> wanted = read(whole, 1);
  for (size_t from = 0; from < wanted.size(); ++from) {
    SCOPED_TRACE(from);
    BatchOptions options = augmenting();
    options.first_epoch = wanted[from].epoch;
    options.first_batch = wanted[from].index;
    expect_same(read(options, 1), std::span(wanted).subspan(from));
    // With what the whole run knew by then, which spares it decoding what came before.
    BatchLoader again = open(augmenting());
    for (size_t i = 0; i < from; ++i) {
      Batch batch;
      ASSERT_TRUE(again.next(batch).ok());
    }
    options.known_bad = again.bad_samples();
    expect_same(read(options, 1), std::span(wanted).subspan(from));
  }
}

TEST_F(BatchLoaderTest, BeyondTheLastBatchBeginsAtTheEndOfTheEpoch) {
  BatchOptions options{.batch = 20, .threads = 1, .first_epoch = 4, .first_batch = 1000000};
  for (const bool known : {false, true}) {
    if (known) options.known_bad.emplace();
    const auto batches = read(options, 5);
    ASSERT_EQ(batches.size(), 5u);
    EXPECT_THAT(batches[0].samples, IsEmpty());
    EXPECT_EQ(batches[1].epoch, 5);
    EXPECT_EQ(batches[1].index, 0);
  }
}

TEST_F(BatchLoaderTest, FillsThePlaceOfABadSampleAndNamesItOnce) {
  damage({1, 2, 33, 52});
  for (const bool shuffle : {false, true}) {
    const auto batches = read({.batch = 10, .shuffle = shuffle, .threads = 3}, 2);
    ASSERT_EQ(batches.size(), 18u);  // 49 good ones: five batches and the end, three times.
    for (size_t b = 0; b < batches.size(); ++b) {
      const size_t wanted = b % 6 == 5 ? 0 : b % 6 == 4 ? 9 : 10;
      EXPECT_EQ(batches[b].samples.size(), wanted) << b;
    }
    std::vector<int64_t> bad = bad_in(batches);
    std::sort(bad.begin(), bad.end());
    EXPECT_THAT(bad, ElementsAre(1, 2, 33, 52));
    for (const Batch& batch : batches) {
      EXPECT_TRUE(batch.epoch == 0 || batch.bad.empty());
      for (const BadSample& one : batch.bad) {
        EXPECT_THAT(one.error.message,
                    HasSubstr(folder_.samples[static_cast<size_t>(one.sample)].path.string()));
      }
    }
  }
}

TEST_F(BatchLoaderTest, ReportsABadSampleBehindTheLastBatch) {
  damage({50, 51, 52});
  const auto batches = read({.batch = 25, .shuffle = false, .threads = 2}, 0);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_THAT(bad_in({batches[0], batches[1]}), IsEmpty());
  EXPECT_THAT(bad_in({batches[2]}), ElementsAre(50, 51, 52));
}

TEST_F(BatchLoaderTest, FailsWhereNoBatchIsLeft) {
  std::vector<int64_t> all(kCount);
  std::iota(all.begin(), all.end(), int64_t{0});
  damage(all);
  BatchLoader loader = open({.batch = 8, .threads = 3});
  Batch batch;
  for (int again = 0; again < 2; ++again) {
    const auto more = loader.next(batch);
    ASSERT_FALSE(more.ok());
    EXPECT_THAT(more.error().message, HasSubstr("53 of 53 images cannot be read"));
  }
}

TEST_F(BatchLoaderTest, FailsWhereTheGoodOnesFillNoBatch) {
  damage({1, 2, 3, 4});
  BatchLoader loader = open({.batch = 50, .drop_last = true, .threads = 3});
  Batch batch;
  EXPECT_FALSE(loader.next(batch).ok());
}

TEST_F(BatchLoaderTest, RefusesWhatCannotBeMeant) {
  const auto why = [&](const BatchOptions& options, const Preprocess& preprocess = kPlain) {
    const auto loader = BatchLoader::create(folder_, preprocess, 4, 3, options);
    return loader.ok() ? "" : loader.error().message;
  };
  EXPECT_EQ(why({}), "");
  EXPECT_THAT(why({.batch = 0}), HasSubstr("at least one image"));
  EXPECT_THAT(why({.batch = 54, .drop_last = true}), HasSubstr("53 images do not fill"));
  EXPECT_THAT(why({.first_epoch = -1}), HasSubstr("first epoch"));
  EXPECT_THAT(why({.known_bad = {{53}}}), HasSubstr("sample 53"));
  EXPECT_THAT(why({.augmentation = {.flip = 2}}), HasSubstr("flip"));
  EXPECT_THAT(why({}, find_preprocess("imagenet").value()), HasSubstr("224x224"));
  folder_.samples.clear();
  EXPECT_THAT(why({}), HasSubstr("no image"));
}

TEST_F(BatchLoaderTest, OfASingleImageIsAnEpochOfOneBatch) {
  folder_.samples.resize(1);
  const auto batches = read({.batch = 4, .threads = 3}, 3);
  ASSERT_EQ(batches.size(), 8u);
  for (size_t b = 0; b < 8; b += 2) EXPECT_THAT(batches[b].samples, ElementsAre(0));
}

TEST_F(BatchLoaderTest, KeepsDecodedImagesWithinItsBudget) {
  const size_t one = sizeof(Image) + 36;
  for (const size_t room : {0u, 1u, 10u, 53u, 100u}) {
    BatchLoader loader = open({.batch = 10, .threads = 2, .cache_bytes = room * one});
    read(loader, 1);
    EXPECT_EQ(loader.cached_bytes(), std::min<size_t>(room, kCount) * one);
  }
}

TEST_F(BatchLoaderTest, DecodesOnceWhatIsInTheCache) {
  BatchLoader loader = open({.batch = 53, .threads = 2, .cache_bytes = 1 << 20});
  const std::vector<Batch> first = read(loader, 0);
  for (const Sample& sample : folder_.samples) std::filesystem::remove(sample.path);
  EXPECT_THAT(bad_in(read(loader, 3)), IsEmpty());
}

TEST_F(BatchLoaderTest, CanBeDestroyedAtAnyTime) {
  for (int reads = 0; reads < 15; ++reads) {
    BatchLoader loader = open({.batch = 7, .threads = 4});
    Batch batch;
    for (int i = 0; i < reads; ++i) ASSERT_TRUE(loader.next(batch).ok());
    EXPECT_GE(loader.seconds_waited(), 0);
  }
}

TEST(BatchLoader, ReadsRealPhotographs) {
  CALDERA_REQUIRE_DATA(data);
  auto folder = scan_image_folder(data / "hymenoptera" / "train");
  ASSERT_TRUE(folder.ok());
  std::erase_if(folder->samples, [i = 0](const Sample&) mutable { return i++ % 16 != 0; });
  const Preprocess imagenet = find_preprocess("imagenet").value();
  BatchOptions options{.batch = 6, .seed = 1, .threads = 2};
  options.augmentation = find_augmentation("imagenet").value();
  std::vector<std::vector<float>> runs;
  for (const int threads : {1, 4}) {
    options.threads = threads;
    auto loader = BatchLoader::create(*folder, imagenet, 224, 224, options);
    ASSERT_TRUE(loader.ok()) << loader.error().message;
    Batch batch;
    std::vector<float> all;
    for (;;) {
      const auto more = loader->next(batch);
      ASSERT_TRUE(more.ok()) << more.error().message;
      EXPECT_THAT(batch.bad, IsEmpty());
      if (!*more) break;
      all.insert(all.end(), batch.images.begin(), batch.images.end());
    }
    EXPECT_EQ(all.size(), folder->samples.size() * 3 * 224 * 224);
    runs.push_back(std::move(all));
  }
  EXPECT_TRUE(runs[0] == runs[1]);
  const auto [least, most] = std::minmax_element(runs[0].begin(), runs[0].end());
  EXPECT_GE(*least, -2.2f);
  EXPECT_LE(*most, 2.7f);
}

}  // namespace
}  // namespace caldera
