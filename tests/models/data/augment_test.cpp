// Augmentation: pure in its key, within its bounds, evenly drawn; and torchvision's boxes and
// colours.
#include "caldera/augment.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/data/boxes.h"
#include "models/data/color.h"
#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using test::make_image;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Preprocess kCifar = find_preprocess("cifar10").value();

std::vector<float> augmented(const Image& image, const Augmentation& how, const AugmentKey& key,
                             const Preprocess& preprocess = kCifar, int32_t width = 32,
                             int32_t height = 32) {
  std::vector<float> out(static_cast<size_t>(3 * width * height),
                         std::numeric_limits<float>::quiet_NaN());
  augment(image, preprocess, width, height, how, key, out);
  return out;
}

std::vector<float> plain(const Image& image, const Preprocess& preprocess, int32_t width,
                         int32_t height) {
  std::vector<float> out(static_cast<size_t>(3 * width * height));
  normalize(fit(image, preprocess, width, height), preprocess, out);
  return out;
}

TEST(Augmentation, HasTheNamedOnes) {
  EXPECT_THAT(augmentation_names(), ElementsAre("none", "flip", "cifar", "imagenet"));
  for (const std::string& name : augmentation_names()) {
    EXPECT_TRUE(check_augmentation(find_augmentation(name).value()).ok()) << name;
  }
  const auto unknown = find_augmentation("imagnet");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("none, flip, cifar, imagenet"));
}

TEST(Augmentation, RefusesNumbersThatCannotBeMeant) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<Augmentation, const char*> bad[] = {
      {{.resized_crop = {.scale = {0, 1}}}, "scale of the random resized crop"},
      {{.resized_crop = {.scale = {0.5, 1.1}}}, "scale of the random resized crop"},
      {{.resized_crop = {.ratio = {2, 1}}}, "ratio of the random resized crop"},
      {{.erasing = {.scale = {0.4, nan}}}, "scale of random erasing"},
      {{.pad = -1}, "padding"},
      {{.flip = 1.5}, "flip"},
      {{.flip = nan}, "flip"},
      {{.erasing = {.probability = -1}}, "probability of random erasing"},
      {{.jitter = {.contrast = -0.1}}, "contrast"},
      {{.jitter = {.hue = 0.6}}, "hue"}};
  for (const auto& [augmentation, what] : bad) {
    const Status status = check_augmentation(augmentation);
    ASSERT_FALSE(status.ok()) << what;
    EXPECT_THAT(status.error().message, HasSubstr(what));
  }
}

// By the table they become the floats: blanks are what is zero once normalised, even where black is
// not.
TEST(Augment, GivesBytesThatBecomeTheSameNumbers) {
  const Image image = make_image(40, 36);
  const auto values = pixel_values(kCifar);
  Augmentation all = find_augmentation("imagenet").value();
  all.pad = 3;
  all.erasing.probability = 0.7;
  for (const Augmentation& how :
       {find_augmentation("none").value(), find_augmentation("cifar").value(), all}) {
    const Preprocess fitted{"custom", 32, 32, 32, kCifar.mean, kCifar.std};
    for (int64_t sample = 0; sample < 20; ++sample) {
      const AugmentKey key{3, 1, sample};
      const std::vector<float> floats = augmented(image, how, key, fitted);
      std::vector<uint8_t> bytes(size_t{32} * 32 * 4, 77);
      augment(image, fitted, 32, 32, how, key, bytes);
      std::vector<float> made(floats.size());
      for (size_t at = 0; at < 32 * 32; ++at) {
        EXPECT_TRUE(bytes[4 * at + 3] == 0 || bytes[4 * at + 3] == 255);
        for (size_t c = 0; c < 3; ++c)
          made[c * 32 * 32 + at] = bytes[4 * at + 3] ? values[c][bytes[4 * at + c]] : 0;
      }
      ASSERT_EQ(made, floats) << sample;
    }
  }
}

TEST(Augment, NoneIsThePreprocessingAlone) {
  const Augmentation none = find_augmentation("none").value();
  const Preprocess imagenet = find_preprocess("imagenet").value();
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const Image photograph = make_image(300, 270);
    EXPECT_EQ(augmented(photograph, none, {1, epoch, 5}, imagenet, 224, 224),
              plain(photograph, imagenet, 224, 224));
    const Image small = make_image(40, 32);
    EXPECT_EQ(augmented(small, none, {1, epoch, 5}), plain(small, kCifar, 32, 32));
  }
}

TEST(Augment, IsAFunctionOfItsKey) {
  Augmentation all = find_augmentation("imagenet").value();
  all.pad = 4;
  all.jitter.hue = 0.1;
  all.erasing.probability = 0.5;
  const Image image = make_image(50, 41);
  const AugmentKey key{1, 2, 3};
  const std::vector<float> first = augmented(image, all, key);
  EXPECT_EQ(augmented(image, all, key), first);
  EXPECT_NE(augmented(image, all, {9, 2, 3}), first);
  EXPECT_NE(augmented(image, all, {1, 9, 3}), first);
  EXPECT_NE(augmented(image, all, {1, 2, 9}), first);
  EXPECT_TRUE(std::none_of(first.begin(), first.end(), [](float v) { return v != v; }));
}

TEST(Augment, FlipsHalf) {
  const Image image = make_image(32, 32);
  const std::vector<float> as_is = plain(image, kCifar, 32, 32);
  const std::vector<float> mirror = plain(flip_horizontal(image), kCifar, 32, 32);
  int flipped = 0;
  for (int64_t sample = 0; sample < 2000; ++sample) {
    const auto out = augmented(image, {.flip = 0.5}, {1, 0, sample});
    ASSERT_TRUE(out == as_is || out == mirror);
    flipped += out == mirror;
  }
  EXPECT_NEAR(flipped, 1000, 90);
  EXPECT_EQ(augmented(image, {.flip = 1}, {1, 0, 0}), mirror);
}

// The shift of `out` from `base`, both [3, 32, 32]: (left, top); all outside of it must be zero.
std::pair<int, int> shift_of(const std::vector<float>& out, const std::vector<float>& base) {
  for (int top = -4; top <= 4; ++top) {
    for (int left = -4; left <= 4; ++left) {
      bool same = true;
      for (int i = 0; i < 3 * 32 * 32 && same; ++i) {
        const int x = i % 32 - left, y = i / 32 % 32 - top, c = i / 1024;
        const bool inside = x >= 0 && x < 32 && y >= 0 && y < 32;
        const float wanted = inside ? base[static_cast<size_t>((c * 32 + y) * 32 + x)] : 0.0f;
        same = out[static_cast<size_t>(i)] == wanted;
      }
      if (same) return {left, top};
    }
  }
  ADD_FAILURE() << "this is no shift of the image";
  return {99, 99};
}

TEST(Augment, PadsWithZerosAfterNormalising) {
  const Image image = make_image(32, 32);
  const std::vector<float> base = plain(image, kCifar, 32, 32);
  std::map<std::pair<int, int>, int> count;
  for (int64_t sample = 0; sample < 1500; ++sample) {
    ++count[shift_of(augmented(image, {.pad = 4}, {1, 0, sample}), base)];
  }
  EXPECT_EQ(count.size(), 81u);  // Every place, and each about as often.
  for (const auto& [shift, n] : count) EXPECT_LT(n, 45);
}

TEST(Augment, PadsByMoreThanTheImage) {
  const Image image = make_image(2, 2);
  for (int64_t sample = 0; sample < 200; ++sample) {
    const auto out = augmented(image, {.pad = 5}, {1, 0, sample}, kCifar, 2, 2);
    EXPECT_TRUE(std::none_of(out.begin(), out.end(), [](float v) { return v != v; }));
  }
}

TEST(Augment, ErasesARectangleToZero) {
  const Image grey{32, 32, std::vector<uint8_t>(3 * 32 * 32, 200)};
  const Augmentation erasing{.erasing = {.probability = 0.25}};
  int erased = 0;
  for (int64_t sample = 0; sample < 2000; ++sample) {
    const auto out = augmented(grey, erasing, {1, 0, sample});
    const auto zeros = std::count(out.begin(), out.end(), 0.0f);
    if (zeros == 0) continue;
    ++erased;
    EXPECT_EQ(zeros % 3, 0);
    EXPECT_GE(zeros / 3, 0.015 * 1024);
    EXPECT_LE(zeros / 3, 0.36 * 1024);
  }
  EXPECT_NEAR(erased, 500, 80);
}

TEST(Augment, OneStepLeavesTheChoicesOfTheOthers) {
  const Image image = make_image(32, 32);
  for (int64_t sample = 0; sample < 20; ++sample) {
    const AugmentKey key{1, 0, sample};
    auto padded = augmented(image, {.pad = 4, .flip = 0.5}, key);
    auto erased = augmented(image, {.pad = 4, .flip = 0.5, .erasing = {.probability = 1}}, key);
    for (size_t i = 0; i < erased.size(); ++i) {
      ASSERT_TRUE(erased[i] == padded[i] || erased[i] == 0);
    }
  }
}

TEST(ResizedCrop, StaysWithinItsBounds) {
  const RandomResizedCrop crop{.enabled = true};
  for (const auto& [width, height] : {std::pair{500, 375}, {375, 500}, {64, 64}}) {
    for (uint64_t i = 0; i < 3000; ++i) {
      Random random(1, RandomUse::kAugment, i);
      const Box box = draw_resized_crop(crop, width, height, random);
      ASSERT_TRUE(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0);
      ASSERT_TRUE(box.left + box.width <= width && box.top + box.height <= height);
      const double area = static_cast<double>(box.width) * box.height / (width * height);
      EXPECT_TRUE(area > 0.07 && area <= 1) << area;
      const double ratio = static_cast<double>(box.width) / box.height;
      EXPECT_TRUE(ratio > 0.70 && ratio < 1.42) << ratio;
    }
  }
}

TEST(ResizedCrop, OfAnImageOfExtremeShapeIsTheCentre) {
  const RandomResizedCrop crop{.enabled = true, .scale = {1, 1}};
  Random random(1, RandomUse::kAugment);
  const Box wide = draw_resized_crop(crop, 1000, 30, random);
  EXPECT_THAT((std::array{wide.left, wide.top, wide.width, wide.height}),
              ElementsAre(480, 0, 40, 30));
  const Box tall = draw_resized_crop(crop, 30, 1000, random);
  EXPECT_THAT((std::array{tall.left, tall.top, tall.width, tall.height}),
              ElementsAre(0, 480, 30, 40));
  const Box dot = draw_resized_crop(crop, 1, 1, random);
  EXPECT_THAT((std::array{dot.left, dot.top, dot.width, dot.height}), ElementsAre(0, 0, 1, 1));
}

TEST(Boxes, AreDrawnAsTorchvisionDrawsThem) {
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  ASSERT_TRUE(test::run_script("make_reference.py", {"boxes", scratch.path()}));
  const std::vector<std::string> cases = test::read_cases(scratch.path());
  ASSERT_EQ(cases.size(), 8u);
  for (const std::string& line : cases) {
    SCOPED_TRACE(line);
    std::istringstream fields(line);
    std::string kind;
    int32_t width = 0, height = 0;
    std::array<double, 4> wanted{}, mean{};
    double none_wanted = 0;
    fields >> kind >> width >> height;
    for (double& value : wanted) fields >> value;
    fields >> none_wanted;
    constexpr int kDraws = 20000;
    int none = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      Random random(1, RandomUse::kAugment, i);
      std::optional<Box> box;
      if (kind == "crop") {
        box = draw_resized_crop({}, width, height, random);
      } else {
        box = draw_erasing({}, width, height, random);
      }
      if (!box) {
        ++none;
        continue;
      }
      const std::array drawn{box->left, box->top, box->width, box->height};
      for (size_t k = 0; k < 4; ++k) mean[k] += drawn[k];
    }
    for (size_t k = 0; k < 4; ++k) {
      const double size = k % 2 == 0 ? width : height;
      EXPECT_NEAR(mean[k] / (kDraws - none), wanted[k], 0.025 * size) << k;
    }
    EXPECT_NEAR(static_cast<double>(none) / kDraws, none_wanted, 0.02);
  }
}

TEST(Colors, AreThoseOfTorchvision) {
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  ASSERT_TRUE(test::run_script("make_reference.py", {"colors", scratch.path()}));
  const std::vector<std::string> cases = test::read_cases(scratch.path());
  ASSERT_EQ(cases.size(), 92u);
  for (const std::string& line : cases) {
    SCOPED_TRACE(line);
    std::istringstream fields(line);
    std::string kind, index;
    float factor = 0;
    fields >> kind >> index >> factor;
    Image image = test::read_ppm(scratch / (index + ".in.ppm"));
    const Image wanted = test::read_ppm(scratch / (index + ".out.ppm"));
    if (kind == "brightness") adjust_brightness(image, factor);
    if (kind == "contrast") adjust_contrast(image, factor);
    if (kind == "saturation") adjust_saturation(image, factor);
    if (kind == "hue") adjust_hue(image, factor);
    EXPECT_EQ(test::difference(image, wanted).most, 0);
  }
}

TEST(Colors, JitterInEveryOrderAndWithinItsFactors) {
  const Image grey{1, 1, {100, 100, 100}};
  int least = 255, most = 0;
  for (uint64_t i = 0; i < 2000; ++i) {
    Image image = grey;
    Random random(1, RandomUse::kAugment, i);
    jitter_colors(image, {.brightness = 0.4}, random);
    least = std::min<int>(least, image.pixels[0]);
    most = std::max<int>(most, image.pixels[0]);
  }
  EXPECT_NEAR(least, 60, 1);
  EXPECT_NEAR(most, 139, 1);
}

TEST(Mixup, IsAFunctionOfSeedEpochAndBatch) {
  const auto same = [](const Mixup& a, const Mixup& b) {
    return a.weight == b.weight && a.partner == b.partner;
  };
  const Mixup first = make_mixup(16, 0.2, MixupWeight::kOnePerBatch, 1, 2, 3);
  EXPECT_TRUE(same(make_mixup(16, 0.2, MixupWeight::kOnePerBatch, 1, 2, 3), first));
  EXPECT_FALSE(same(make_mixup(16, 0.2, MixupWeight::kOnePerBatch, 9, 2, 3), first));
  EXPECT_FALSE(same(make_mixup(16, 0.2, MixupWeight::kOnePerBatch, 1, 9, 3), first));
  EXPECT_FALSE(same(make_mixup(16, 0.2, MixupWeight::kOnePerBatch, 1, 2, 9), first));
}

TEST(Mixup, HasOneWeightABatchOrASampleAndAPermutation) {
  const Mixup batch = make_mixup(50, 1, MixupWeight::kOnePerBatch, 1, 0, 0);
  EXPECT_EQ(std::set<float>(batch.weight.begin(), batch.weight.end()).size(), 1u);
  const Mixup sample = make_mixup(50, 1, MixupWeight::kOnePerSample, 1, 0, 0);
  EXPECT_EQ(std::set<float>(sample.weight.begin(), sample.weight.end()).size(), 50u);
  for (const Mixup& mixup : {batch, sample}) {
    const std::set<int32_t> partners(mixup.partner.begin(), mixup.partner.end());
    EXPECT_EQ(partners.size(), 50u);
    EXPECT_EQ(*partners.begin(), 0);
    EXPECT_EQ(*partners.rbegin(), 49);
  }
}

TEST(Mixup, MixesEachImageWithItsPartner) {
  std::vector<float> images{1, 2, 10, 20, 100, 200};  // [3, 2]
  apply_mixup({{0.5f, 1, 0.25f}, {2, 0, 1}}, images);
  EXPECT_THAT(images, ElementsAre(50.5f, 101, 10, 20, 32.5f, 65));
}

}  // namespace
}  // namespace caldera
