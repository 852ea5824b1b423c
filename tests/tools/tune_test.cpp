// `caldera tune`: what it measures, and that later commands take it.
#include <algorithm>

#include <gmock/gmock.h>

#include "tests/tools/program.h"

namespace caldera::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

TEST(Tune, MeasuresEveryKernelOfAModelsLayers) {
  const nlohmann::json json = expect_json(
      run_program({"tune", "cifar_resnet20", "--batch", "2", "--input-size", "8", "--json"}));
  EXPECT_THAT(keys(json), IsSupersetOf({"model", "batch", "device", "driver", "untuned_seconds",
                                        "tuned_seconds", "kept", "layers"}));
  EXPECT_TRUE(!json["kept"] || json["tuned_seconds"] <= json["untuned_seconds"]);
  ASSERT_FALSE(json["layers"].empty());
  EXPECT_EQ(json["layers"][0]["layer"], "conv1");
  for (const auto& layer : json["layers"]) {
    EXPECT_GT(layer["trials"].size(), 1u);
    const auto is = [&](const char* which) {
      return std::ranges::any_of(
          layer["trials"], [&](const auto& trial) { return trial["kernel"] == layer[which]; });
    };
    EXPECT_TRUE(is("chosen") && is("untuned")) << layer;
  }
}

TEST(Tune, SaysWhatATrainingStepGains) {
  const Outcome outcome =
      run_program({"tune", "cifar_resnet8", "--train", "--batch", "2", "--input-size", "8"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("conv2d_weight_gradient_"));
  EXPECT_THAT(outcome.out, AnyOf(HasSubstr("kept for every later run"), HasSubstr("not faster")));
}

TEST(Tune, KeepsNothingWhereNothingMayBeKept) {
  const Outcome outcome = run_program({"tune", "cifar_resnet20", "--no-cache"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--no-cache"));
}

}  // namespace
}  // namespace caldera::test
