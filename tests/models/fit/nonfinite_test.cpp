// Where the first NaN or infinity of a training step is: the layer is named, whatever spreads.
#include "caldera/nonfinite.h"

#include <limits>

#include <gmock/gmock.h>

#include "caldera/model.h"

#include "tests/models/fit/photos.h"
#include "tests/support/device.h"

namespace caldera {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Step {
  Graph forward = test::photo_model().graph(2).value();
  Weights weights = test::photo_model().weights();
  std::vector<float> images = std::vector<float>(2 * 3 * 8 * 8, 0.5f);
  std::vector<float> targets{0.5f, 0, 0, 0, 0.5f, 0};

  std::optional<NonFinite> find() const {
    const auto found = find_nonfinite(*test::device(), forward, {}, weights, images, targets);
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() ? *found : std::nullopt;
  }

  void fill(const std::string& name, float value) {
    const Shape shape = weights.at(name).shape();
    weights.insert_or_assign(
        name, Tensor::from_floats(
                  shape, std::vector<float>(static_cast<size_t>(element_count(shape)), value)));
  }
};

TEST(FindNonfinite, FindsNothingInAHealthyStep) {
  CALDERA_REQUIRE_DEVICE(device);
  EXPECT_FALSE(Step().find());
}

TEST(FindNonfinite, NamesTheWeightOrTheImages) {
  CALDERA_REQUIRE_DEVICE(device);
  Step step;
  step.images[7] = kNaN;
  ASSERT_TRUE(step.find());
  EXPECT_EQ(step.find()->layer, "the images");
  step.fill("layer2.0.conv1.weight", kNaN);
  ASSERT_TRUE(step.find());
  EXPECT_EQ(step.find()->layer, "layer2.0.conv1.weight");
  EXPECT_TRUE(step.find()->nan);
}

TEST(FindNonfinite, NamesTheFirstLayerThatOverflows) {
  CALDERA_REQUIRE_DEVICE(device);
  Step step;
  step.fill("layer2.1.conv1.weight", 3e38f);
  ASSERT_TRUE(step.find());
  EXPECT_EQ(step.find()->layer, "layer2.1.conv1");
}

}  // namespace
}  // namespace caldera
