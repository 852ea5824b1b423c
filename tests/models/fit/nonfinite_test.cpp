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

  std::optional<NonFinite> find(Precision precision = Precision::kFp32,
                                float loss_scale = 1) const {
    const auto found = find_nonfinite(*test::device(), forward, {}, weights, images, targets,
                                      {.precision = precision}, loss_scale);
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

// As the step had it: halves end where floats go on, and a loss scale brings gradients there.
TEST(FindNonfinite, LooksInThePrecisionOfTheStep) {
  CALDERA_REQUIRE_DEVICE(device);
  if (!device.info().fp16)
    CALDERA_SKIP_UNLESS_KNOWN(test::driver_has_halves(), "the device has no fp16")
  Step step;
  const auto healthy = step.find(Precision::kFp16);
  EXPECT_FALSE(healthy) << healthy->layer << ": " << healthy->what;
  const auto scaled = step.find(Precision::kFp16, 0x1p40f);
  ASSERT_TRUE(scaled);
  EXPECT_EQ(scaled->layer, "loss gradient");
  EXPECT_FALSE(scaled->nan);
  step.fill("layer2.1.conv1.weight", 3e4f);
  EXPECT_FALSE(step.find());
  ASSERT_TRUE(step.find(Precision::kFp16));
  EXPECT_EQ(step.find(Precision::kFp16)->layer, "layer2.1.conv1");
}

}  // namespace
}  // namespace caldera
