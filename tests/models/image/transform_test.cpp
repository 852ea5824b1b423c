// Resizes and crops against Pillow's and torchvision's own results: equal to the bit.
#include <sstream>

#include <gtest/gtest.h>

#include "caldera/image.h"

#include "models/image/resize.h"
#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using test::make_image;

void expect_equal(const Image& actual, const Image& wanted) {
  ASSERT_EQ(actual.width, wanted.width);
  ASSERT_EQ(actual.height, wanted.height);
  ASSERT_EQ(actual.pixels.size(), wanted.pixels.size());
  const test::Difference apart = test::difference(actual, wanted);
  EXPECT_EQ(apart.most, 0) << "mean " << apart.mean;
}

Image stack(const std::vector<Image>& images) {
  Image out{images.front().width, 0, {}};
  for (const Image& image : images) {
    out.height += image.height;
    out.pixels.insert(out.pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  return out;
}

TEST(Transforms, EqualPillowAndTorchvision) {
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  ASSERT_TRUE(test::run_script("make_reference.py", {"transforms", scratch.path()}));
  const std::vector<std::string> cases = test::read_cases(scratch.path());
  ASSERT_GT(cases.size(), 80u);
  for (const std::string& line : cases) {
    std::istringstream fields(line);
    std::string kind, index;
    fields >> kind >> index;
    std::vector<int32_t> n;
    for (int32_t value; fields >> value;) n.push_back(value);
    const Image image = test::read_ppm(scratch / (index + ".in.ppm"));
    SCOPED_TRACE(line + " of " + std::to_string(image.width) + " x " +
                 std::to_string(image.height));
    const Image wanted = test::read_ppm(scratch / (index + ".out.ppm"));
    if (kind == "resize") {
      expect_equal(resize(image, n[0], n[1]), wanted);
    } else if (kind == "shorter") {
      expect_equal(resize_shorter_side(image, n[0]), wanted);
    } else if (kind == "center") {
      expect_equal(center_crop(image, n[0], n[1]), wanted);
    } else if (kind == "crop") {
      expect_equal(crop(image, n[0], n[1], n[2], n[3]), wanted);
    } else if (kind == "flip") {
      expect_equal(flip_horizontal(image), wanted);
    } else if (kind == "ten") {
      const std::vector<Image> crops = ten_crop(image, n[0], n[1]);
      ASSERT_EQ(crops.size(), 10u);
      expect_equal(stack(crops), wanted);
    } else {
      ADD_FAILURE() << "unknown kind";
    }
  }
}

TEST(Resize, KeepsAFlatImageFlat) {
  Image grey{31, 17, std::vector<uint8_t>(3 * 31 * 17, 200)};
  for (const auto& [width, height] : {std::pair{7, 40}, {200, 3}, {1, 1}, {31, 16}}) {
    const Image out = resize(grey, width, height);
    EXPECT_EQ(out.pixels, std::vector<uint8_t>(out.pixels.size(), 200));
  }
}

TEST(ResizeShorterSide, BoundsAStripThatWouldNotFitInMemory) {
  const Extent strip = bounded_extent(shorter_side_extent(make_image(1, 1 << 20), 512));
  EXPECT_EQ(strip.width, 512);
  EXPECT_EQ(strip.height, 1 << 19);  // 2^28 pixels in all, and not 2^38.
  const Extent photograph = bounded_extent(shorter_side_extent(make_image(500, 375), 256));
  EXPECT_EQ(photograph.width, 341);
  EXPECT_EQ(photograph.height, 256);
}

TEST(TenCrop, OfAnImageSmallerThanTheCropIsPaddedWithBlack) {
  const std::vector<Image> crops = ten_crop(make_image(3, 3), 5, 4);
  ASSERT_EQ(crops.size(), 10u);
  for (const Image& one : crops) {
    EXPECT_EQ(one.width, 5);
    EXPECT_EQ(one.height, 4);
    EXPECT_EQ(one.pixels.size(), 60u);
  }
}

}  // namespace
}  // namespace caldera
