// Splits: every class on both sides in its share, the same by the same seed; and the checks of
// folders for training and validation.
#include "caldera/split.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/paths.h"

namespace caldera {
namespace {

using ::testing::HasSubstr;

ImageFolder folder_of(const std::vector<int>& counts) {
  ImageFolder folder;
  for (size_t label = 0; label < counts.size(); ++label) {
    folder.classes.push_back("class" + std::to_string(label));
    for (int i = 0; i < counts[label]; ++i) {
      folder.samples.push_back({folder.classes.back() + "/" + std::to_string(1000 + i) + ".png",
                                static_cast<int32_t>(label)});
    }
  }
  return folder;
}

std::vector<std::string> names(const ImageFolder& folder) {
  std::vector<std::string> out;
  for (const Sample& sample : folder.samples) out.push_back(sample.path.string());
  return out;
}

std::vector<int> counts(const ImageFolder& folder) {
  std::vector<int> out(folder.classes.size());
  for (const Sample& sample : folder.samples) ++out[static_cast<size_t>(sample.label)];
  return out;
}

TEST(SplitFolder, HoldsBackTheShareOfEachClass) {
  const ImageFolder folder = folder_of({100, 25, 14, 5, 4, 2, 1});
  const FolderSplit split = split_folder(folder, 0.1, 1).value();
  EXPECT_EQ(counts(split.validation), (std::vector<int>{10, 3, 1, 1, 1, 1, 0}));
  EXPECT_EQ(counts(split.train), (std::vector<int>{90, 22, 13, 4, 3, 1, 1}));
  EXPECT_EQ(split.train.classes, folder.classes);
  EXPECT_EQ(split.validation.classes, folder.classes);
  const FolderSplit most = split_folder(folder, 0.999, 1).value();
  EXPECT_EQ(counts(most.train), (std::vector<int>{1, 1, 1, 1, 1, 1, 1}));
}

TEST(SplitFolder, PartsTheSamplesAndKeepsTheirOrder) {
  const ImageFolder folder = folder_of({40, 30, 20});
  const FolderSplit split = split_folder(folder, 0.3, 5).value();
  std::vector<std::string> train = names(split.train);
  const std::vector<std::string> validation = names(split.validation);
  EXPECT_TRUE(std::is_sorted(train.begin(), train.end()));
  EXPECT_TRUE(std::is_sorted(validation.begin(), validation.end()));
  train.insert(train.end(), validation.begin(), validation.end());
  std::sort(train.begin(), train.end());
  EXPECT_EQ(train, names(folder));
}

TEST(SplitFolder, IsTheSameByTheSameSeedAndElseAnother) {
  const ImageFolder folder = folder_of({40, 40});
  const auto held = [&](uint64_t seed) {
    return names(split_folder(folder, 0.25, seed).value().validation);
  };
  EXPECT_EQ(held(7), held(7));
  std::set<std::vector<std::string>> different;
  for (uint64_t seed = 0; seed < 20; ++seed) different.insert(held(seed));
  EXPECT_EQ(different.size(), 20u);
}

TEST(SplitFolder, ChoosesEverySampleAlikeOften) {
  const ImageFolder folder = folder_of({10});
  std::map<std::string, int> count;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    for (const std::string& name : names(split_folder(folder, 0.3, seed).value().validation)) {
      ++count[name];
    }
  }
  for (const auto& [name, n] : count) EXPECT_NEAR(n, 1200, 130) << name;
}

TEST(SplitFolder, OfZeroHoldsNothingBack) {
  const ImageFolder folder = folder_of({3, 2});
  const FolderSplit split = split_folder(folder, 0, 1).value();
  EXPECT_EQ(names(split.train), names(folder));
  EXPECT_TRUE(split.validation.samples.empty());
}

TEST(SplitFolder, RefusesAnImpossibleShare) {
  for (const double fraction : {-0.1, 1.0, 2.0, std::numeric_limits<double>::quiet_NaN()}) {
    const auto split = split_folder(folder_of({3, 2}), fraction, 1);
    ASSERT_FALSE(split.ok());
    EXPECT_THAT(split.error().message, HasSubstr("below 1"));
  }
}

TEST(CheckTrainingClasses, WantsTwo) {
  EXPECT_TRUE(check_training_classes(folder_of({1, 1}), "set").ok());
  const Status one = check_training_classes(folder_of({5}), "set");
  ASSERT_FALSE(one.ok());
  EXPECT_THAT(one.error().message, HasSubstr("set: 'class0' is the only class"));
  EXPECT_FALSE(check_training_classes({}, "set").ok());
}

TEST(CheckValidationClasses, NamesTheClassThatDiffers) {
  const auto classes = [](std::vector<std::string> all) { return ImageFolder{std::move(all), {}}; };
  const ImageFolder train = classes({"ants", "bees"});
  const auto why = [&](const ImageFolder& validation) {
    const Status status = check_validation_classes(train, validation, "val");
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_EQ(why(train), "");
  EXPECT_THAT(why(classes({"bees"})), HasSubstr("val: class 'ants' of the training folder is"));
  EXPECT_THAT(why(classes({"ants", "bees", "wasps"})), HasSubstr("val: class 'wasps' is not in"));
  EXPECT_THAT(why(classes({"ants", "Bees"})), HasSubstr("'bees'"));
  EXPECT_THAT(why(classes({"bees", "ants"})), HasSubstr("order"));
}

TEST(CheckValidationClasses, AgreeOnRealFolders) {
  CALDERA_REQUIRE_DATA(data);
  const auto train = scan_image_folder(data / "hymenoptera" / "train");
  const auto validation = scan_image_folder(data / "hymenoptera" / "val");
  ASSERT_TRUE(train.ok() && validation.ok());
  EXPECT_TRUE(check_training_classes(*train, "train").ok());
  EXPECT_TRUE(check_validation_classes(*train, *validation, "val").ok());
  const FolderSplit split = split_folder(*train, 0.1, 1).value();
  EXPECT_EQ(split.train.samples.size() + split.validation.samples.size(), train->samples.size());
  EXPECT_NEAR(static_cast<double>(split.validation.samples.size()),
              0.1 * static_cast<double>(train->samples.size()), 1);
}

}  // namespace
}  // namespace caldera
