// Predictors: views of any size, in any mixture, are what a session makes of each by itself.
#include "caldera/predictor.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/device.h"

namespace caldera {
namespace {

using testing::HasSubstr;

Image pattern(int32_t width, int32_t height, uint32_t seed) {
  Image image{width, height, {}};
  for (int32_t i = 0; i < width * height * 3; ++i) {
    seed = seed * 1664525u + 1013904223u;
    image.pixels.push_back(static_cast<uint8_t>(seed >> 24));
  }
  return image;
}

Model model() {
  return Model::create("cifar_resnet20", 5).value();
}

std::vector<double> softmax(const std::vector<float>& logits) {
  double total = 0;
  for (const float logit : logits) total += std::exp(double{logit});
  std::vector<double> probabilities;
  for (const float logit : logits) probabilities.push_back(std::exp(double{logit}) / total);
  return probabilities;
}

// The whole image, its shorter side `scale`, by a session of its own.
std::vector<double> by_hand(const Device& device, const Image& image, int32_t scale) {
  const Image view = resize_shorter_side(image, scale);
  std::vector<float> input(size_t{3} * view.width * view.height);
  normalize(view, model().preprocess(), input);
  const Graph graph = model().graph(1, {view.height, view.width}).value();
  Session session = Session::create(device, graph, model().weights()).value();
  std::vector<float> logits(10);
  EXPECT_TRUE(session.run(input, logits).ok());
  return softmax(logits);
}

std::vector<float> predict(Predictor& predictor, const std::vector<Image>& images) {
  std::vector<std::vector<float>> samples;
  for (const Image& image : images) samples.push_back(predictor.prepare(image));
  std::vector<float> probabilities(images.size() * 10, NAN);
  const Status done = predictor.predict(samples, probabilities);
  EXPECT_TRUE(done.ok()) << done.error().message;
  return probabilities;
}

TEST(Predictor, SeesWholeImagesOfEveryShapeAtEveryScale) {
  CALDERA_REQUIRE_DEVICE(device);
  PredictorOptions options;
  options.scales = {24, 17};
  Predictor predictor = Predictor::create(device, {model()}, options).value();
  // More shapes than a predictor keeps sessions for, some of them twice.
  std::vector<Image> images;
  for (const int32_t width : {32, 40, 25, 61, 32, 90, 31, 40, 77, 52}) {
    images.push_back(pattern(width, 32, static_cast<uint32_t>(width + images.size())));
  }
  const std::vector<float> probabilities = predict(predictor, images);
  for (size_t i = 0; i < images.size(); ++i) {
    const std::vector<double> a = by_hand(device, images[i], 24);
    const std::vector<double> b = by_hand(device, images[i], 17);
    for (size_t c = 0; c < 10; ++c) {
      EXPECT_NEAR(probabilities[i * 10 + c], (a[c] + b[c]) / 2, 1e-5) << "image " << i;
    }
  }
}

TEST(Predictor, GivesAnImageTheSameWhateverItsCompany) {
  CALDERA_REQUIRE_DEVICE(device);
  for (const bool ten_crop : {false, true}) {
    PredictorOptions options;
    options.batch = 4;
    options.ten_crop = ten_crop;
    Predictor predictor = Predictor::create(device, {model(), model()}, options).value();
    std::vector<Image> images;
    for (uint32_t i = 0; i < 7; ++i) images.push_back(pattern(36, 40, i));
    const std::vector<float> together = predict(predictor, images);
    for (size_t i = 0; i < images.size(); ++i) {
      const std::vector<float> alone = predict(predictor, {images[i]});
      for (size_t c = 0; c < 10; ++c) EXPECT_NEAR(together[i * 10 + c], alone[c], 1e-6);
    }
  }
}

TEST(Predictor, RefusesSamplesThatItDidNotPrepare) {
  CALDERA_REQUIRE_DEVICE(device);
  Predictor predictor = Predictor::create(device, {model()}).value();
  std::vector<float> probabilities(10);
  std::vector<float> longer = predictor.prepare(pattern(32, 32, 1));
  longer.push_back(0);
  std::vector<float> other_size = longer;
  other_size[0] = 31;
  std::vector<float> huge = longer;
  huge[0] = INFINITY;
  for (const auto& sample : {std::vector<float>(), std::vector<float>(100), longer, other_size,
                             huge, std::vector<float>{NAN, 1, 0}}) {
    const Status done = predictor.predict(std::span(&sample, 1), probabilities);
    ASSERT_FALSE(done.ok());
    EXPECT_THAT(done.error().message, HasSubstr("prepare()"));
  }
}

}  // namespace
}  // namespace caldera
