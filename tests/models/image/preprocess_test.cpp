// Preprocessing: the named tables, JSON and its checks, and the ways that an image is fitted.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/image.h"

#include "tests/models/image/reference.h"

namespace caldera {
namespace {

using test::make_image;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Preprocess, HasTheNamedOnes) {
  EXPECT_THAT(preprocess_names(), ElementsAre("imagenet", "cifar10", "none"));
  const Preprocess imagenet = find_preprocess("imagenet").value();
  EXPECT_EQ(imagenet.resize_shorter, 256);
  EXPECT_EQ(imagenet.crop_width, 224);
  EXPECT_EQ(imagenet.crop_height, 224);
  EXPECT_EQ(imagenet.mean, (std::array{0.485f, 0.456f, 0.406f}));
  EXPECT_EQ(imagenet.std, (std::array{0.229f, 0.224f, 0.225f}));
  const Preprocess cifar = find_preprocess("cifar10").value();
  EXPECT_EQ(cifar.resize_shorter, 0);
  EXPECT_EQ(cifar.crop_width, 0);
  EXPECT_EQ(cifar.mean, imagenet.mean);
  EXPECT_EQ(find_preprocess("none").value(), Preprocess{});
}

TEST(Preprocess, AnUnknownNameIsAnErrorThatNamesTheKnown) {
  const auto found = find_preprocess("imagenet21k");
  ASSERT_FALSE(found.ok());
  EXPECT_THAT(found.error().message, HasSubstr("imagenet21k"));
  EXPECT_THAT(found.error().message, HasSubstr("imagenet, cifar10, none"));
}

TEST(PreprocessJson, RoundTripsToTheBit) {
  Preprocess custom{"custom", 72, 64, 63, {0.1f, 1.0f / 3, -2e-7f}, {0.7f, 1e-3f, 255.0f}};
  EXPECT_EQ(preprocess_from_json(to_json(custom)).value(), custom);
  for (const std::string& name : preprocess_names()) {
    const Preprocess known = find_preprocess(name).value();
    EXPECT_EQ(preprocess_from_json(to_json(known)).value(), known) << to_json(known);
  }
}

TEST(PreprocessJson, IsReadable) {
  EXPECT_EQ(to_json(find_preprocess("imagenet").value()),
            R"({"name":"imagenet","resize_shorter":256,"crop_width":224,"crop_height":224,)"
            R"("mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]})");
}

TEST(PreprocessJson, WriteNeverThrowsOnABadName) {
  Preprocess odd;
  odd.name = "\xff\xfe";
  EXPECT_FALSE(preprocess_from_json(to_json(odd)).ok());
}

// A valid description with one member replaced.
std::string json_with(const std::string& key, const std::string& value) {
  std::string out = "{";
  const std::pair<const char*, const char*> members[] = {
      {"name", "\"custom\""}, {"resize_shorter", "8"}, {"crop_width", "4"},
      {"crop_height", "4"},   {"mean", "[0,0,0]"},     {"std", "[1,1,1]"}};
  for (const auto& [name, valid] : members) {
    if (out.size() > 1) out += ",";
    out += "\"" + std::string(name) + "\":" + (key == name ? value : valid);
  }
  return out + "}";
}

TEST(PreprocessJson, RefusesWhatCannotBeMeant) {
  ASSERT_TRUE(preprocess_from_json(json_with("", "")).ok());
  const std::pair<const char*, const char*> bad[] = {
      {"name", "7"},
      {"name", "\"imagenet22k\""},
      {"resize_shorter", "-1"},
      {"resize_shorter", "1.5"},
      {"resize_shorter", "\"256\""},
      {"resize_shorter", "1000000"},
      {"resize_shorter", "18446744073709551615"},
      {"crop_width", "0"},
      {"crop_height", "null"},
      {"crop_height", "99999999999999999999"},
      {"mean", "[0,0]"},
      {"mean", "[0,0,0,0]"},
      {"mean", "[0,0,\"0\"]"},
      {"mean", "[0,1e39,0]"},
      {"mean", "0.5"},
      {"std", "[1,0,1]"},
      {"std", "[1,-1,1]"},
      {"std", "[1,1e-46,1]"},
      {"std", "[1,1e-40,1]"},
      {"std", "[1,1e999,1]"},
      {"std", "{}"},
  };
  for (const auto& [key, value] : bad) {
    const auto parsed = preprocess_from_json(json_with(key, value));
    EXPECT_FALSE(parsed.ok()) << key << ": " << value;
    if (!parsed.ok()) {
      EXPECT_THAT(parsed.error().message, Not(HasSubstr("\n")));
    }
  }
}

TEST(PreprocessJson, RefusesWhatIsNotJson) {
  const std::string valid = json_with("", "");
  for (size_t length = 0; length < valid.size(); ++length) {
    EXPECT_FALSE(preprocess_from_json(valid.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(preprocess_from_json("[]").ok());
  EXPECT_FALSE(preprocess_from_json(std::string(60000, '[')).ok());
  EXPECT_FALSE(preprocess_from_json(valid + std::string(1 << 17, ' ')).ok());
  EXPECT_FALSE(preprocess_from_json("{\"name\":\"\xff\"}").ok());
}

TEST(Normalize, WritesPlanesOfStandardScores) {
  const Preprocess preprocess{"custom", 0, 0, 0, {0.5f, 0.25f, 0}, {0.5f, 2, 1}};
  const Image image{2, 1, {0, 51, 255, 255, 102, 0}};
  std::array<float, 6> out{};
  normalize(image, preprocess, out);
  EXPECT_FLOAT_EQ(out[0], -1);
  EXPECT_FLOAT_EQ(out[1], 1);
  EXPECT_FLOAT_EQ(out[2], (0.2f - 0.25f) / 2);
  EXPECT_FLOAT_EQ(out[3], (0.4f - 0.25f) / 2);
  EXPECT_FLOAT_EQ(out[4], 1);
  EXPECT_FLOAT_EQ(out[5], 0);
}

// fit() computes only what the crop keeps: this is what it stands for.
TEST(Fit, EqualsResizeThenCrop) {
  const std::pair<int, int> sizes[] = {{500, 375}, {33, 57}, {57, 33}, {64, 64}, {1, 90}, {90, 1}};
  for (const auto& [width, height] : sizes) {
    const Image image = make_image(width, height);
    for (const auto& [shorter, crop_width, crop_height] :
         {std::tuple{72, 64, 64}, {31, 30, 17}, {20, 31, 9}, {9, 20, 31}, {16, 32, 32}}) {
      const Preprocess preprocess{"custom", shorter, crop_width, crop_height, {}, {1, 1, 1}};
      const Image wanted =
          center_crop(resize_shorter_side(image, shorter), crop_width, crop_height);
      const Image actual = fit(image, preprocess, 1, 1);
      ASSERT_TRUE(test::same_size(actual, wanted));
      EXPECT_EQ(actual.pixels, wanted.pixels)
          << width << " x " << height << " by " << shorter << ", " << crop_width;
    }
  }
}

TEST(Fit, WithoutACropResizesToTheGivenSize) {
  const Image image = make_image(40, 30);
  const Preprocess cifar = find_preprocess("cifar10").value();
  EXPECT_EQ(fit(image, cifar, 32, 32).pixels, resize(image, 32, 32).pixels);
  EXPECT_EQ(fit(image, cifar, 40, 30).pixels, image.pixels);
  const Preprocess both{"custom", 20, 0, 0, {}, {1, 1, 1}};
  EXPECT_EQ(fit(image, both, 20, 20).pixels, resize(resize_shorter_side(image, 20), 20, 20).pixels);
}

TEST(Fit, WithoutAResizeCrops) {
  const Image image = make_image(40, 30);
  const Preprocess crop_only{"custom", 0, 21, 50, {}, {1, 1, 1}};
  EXPECT_EQ(fit(image, crop_only, 1, 1).pixels, center_crop(image, 21, 50).pixels);
}

TEST(Fit, OfAnEndlessStripTakesLittleMemory) {
  const Preprocess imagenet = find_preprocess("imagenet").value();
  const Image tall = make_image(1, 1 << 24);  // Resized whole: 2^40 pixels.
  EXPECT_EQ(fit(tall, imagenet, 224, 224).height, 224);
  const Image wide = make_image(1 << 24, 1);
  EXPECT_EQ(fit(wide, imagenet, 224, 224).width, 224);
}

}  // namespace
}  // namespace caldera
