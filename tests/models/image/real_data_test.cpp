// Real photographs: ImageNet's preprocessing against torchvision's, and CIFAR-10's JPEG files
// against libjpeg's pixels.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include <gtest/gtest.h>

#include "caldera/dataset.h"
#include "caldera/image.h"

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

TEST(Photographs, ArePreprocessedAsTorchvisionDoes) {
  CALDERA_REQUIRE_DATA(data);
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  const auto photos = data / "imagenet-samples";
  ASSERT_TRUE(test::run_script("make_reference.py", {"photos", scratch.path(), photos}));
  const std::vector<std::string> cases = test::read_cases(scratch.path());
  ASSERT_EQ(cases.size(), 21u);
  const Preprocess imagenet = find_preprocess("imagenet").value();
  double decoded_mean = 0, fitted_mean = 0;
  int decoded_most = 0, fitted_most = 0;
  for (const std::string& line : cases) {
    SCOPED_TRACE(line);
    const size_t space = line.find(' ');
    const std::string index = line.substr(0, space);

    // From the same pixels: the same network input.
    const Image pillow = test::read_ppm(scratch / (index + ".in.ppm"));
    const Image wanted = test::read_ppm(scratch / (index + ".out.ppm"));
    const Image fitted = fit(pillow, imagenet, 224, 224);
    ASSERT_TRUE(test::same_size(fitted, wanted));
    EXPECT_EQ(test::difference(fitted, wanted).most, 0);
    std::vector<float> values(3 * 224 * 224);
    normalize(fitted, imagenet, values);
    const std::vector<float> wanted_values = test::read_floats(scratch / (index + ".f32"));
    ASSERT_EQ(wanted_values.size(), values.size());
    float most = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      most = std::max(most, std::abs(values[i] - wanted_values[i]));
    }
    EXPECT_LE(most, 1e-6f);

    // From our own decoder: within 1/255 on average.
    const auto decoded = read_image(photos / line.substr(space + 1));
    ASSERT_TRUE(decoded.ok()) << decoded.error().message;
    ASSERT_TRUE(test::same_size(*decoded, pillow));
    const test::Difference decoding = test::difference(*decoded, pillow);
    const test::Difference whole = test::difference(fit(*decoded, imagenet, 224, 224), wanted);
    EXPECT_LE(decoding.mean, 1);
    EXPECT_LE(whole.mean, 1);
    decoded_mean += decoding.mean / 21;
    decoded_most = std::max(decoded_most, decoding.most);
    fitted_mean += whole.mean / 21;
    fitted_most = std::max(fitted_most, whole.most);
  }
  std::printf(
      "stb_image against libjpeg, of 255: decoded %.3f on average, %d at most; "
      "preprocessed %.3f, %d\n",
      decoded_mean, decoded_most, fitted_mean, fitted_most);
}

// The pixels of reference_pixels.npy are those of the first 26 images of each of the first six
// classes, and the first 25 of the other four.
std::vector<Sample> reference_samples(const ImageFolder& folder) {
  std::vector<Sample> out;
  std::vector<int> count(folder.classes.size());
  for (const Sample& sample : folder.samples) {
    if (count[static_cast<size_t>(sample.label)]++ < (sample.label < 6 ? 26 : 25)) {
      out.push_back(sample);
    }
  }
  return out;
}

Image reference_image(const std::vector<uint8_t>& npy, size_t index) {
  constexpr size_t kHeader = 128;
  constexpr size_t kBytes = 32 * 32 * 3;
  const auto start = npy.begin() + static_cast<ptrdiff_t>(kHeader + index * kBytes);
  return {32, 32, std::vector<uint8_t>(start, start + kBytes)};
}

class Cifar : public ::testing::Test {
 protected:
  void compare(const std::filesystem::path& folder, double mean_allowed, int most_allowed) {
    const auto data = test::data_dir();
    const std::vector<uint8_t> npy = test::read_bytes(*data / "cifar10" / "reference_pixels.npy");
    ASSERT_EQ(npy.size(), 128u + 256 * 32 * 32 * 3);
    const auto found = scan_image_folder(folder);
    ASSERT_TRUE(found.ok()) << found.error().message;
    ASSERT_EQ(found->classes.size(), 10u);
    const std::vector<Sample> samples = reference_samples(*found);
    ASSERT_EQ(samples.size(), 256u);
    double mean = 0;
    int most = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto image = read_image(samples[i].path);
      ASSERT_TRUE(image.ok()) << image.error().message;
      const Image wanted = reference_image(npy, i);
      ASSERT_TRUE(test::same_size(*image, wanted));
      const test::Difference apart = test::difference(*image, wanted);
      mean += apart.mean / 256;
      most = std::max(most, apart.most);
    }
    EXPECT_LE(mean, mean_allowed);
    EXPECT_LE(most, most_allowed);
    std::printf("against libjpeg, of 255: %.3f on average, %d at most\n", mean, most);
  }

  test::ScratchDir scratch_;
};

TEST_F(Cifar, JpegFilesAreNearLibjpegsPixels) {
  CALDERA_REQUIRE_DATA(data);
  CALDERA_REQUIRE_PYTHON()
  const auto archive = data / "cifar10" / "test.zip";
  ASSERT_TRUE(test::run_script("make_cifar_png.py",
                               {"--jpeg", "--per-class", "26", archive, scratch_.path()}));
  compare(scratch_.path(), 0.12, 4);
}

TEST_F(Cifar, PngCopiesAreLibjpegsPixels) {
  CALDERA_REQUIRE_DATA(data);
  CALDERA_REQUIRE_PYTHON()
  const auto archive = data / "cifar10" / "test.zip";
  ASSERT_TRUE(
      test::run_script("make_cifar_png.py", {"--per-class", "26", archive, scratch_.path()}));
  compare(scratch_.path(), 0, 0);
}

}  // namespace
}  // namespace caldera
