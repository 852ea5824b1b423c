// Which parameters are trained, by name; and models for other classes.
#include "caldera/transfer.h"

#include <algorithm>

#include <gmock/gmock.h>

namespace caldera {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Pattern, IsANameAModuleOrHasStars) {
  EXPECT_TRUE(matches_pattern("layer1.0.conv1.weight", "layer1.0.conv1.weight"));
  EXPECT_TRUE(matches_pattern("layer1.0.conv1.weight", "layer1"));
  EXPECT_TRUE(matches_pattern("layer1.0.conv1.weight", "layer1.0"));
  EXPECT_TRUE(matches_pattern("layer1.0.conv1.weight", "layer*.conv1*"));
  EXPECT_TRUE(matches_pattern("layer1.0.bn1.bias", "*.bn*"));
  EXPECT_TRUE(matches_pattern("conv1.weight", "*"));
  EXPECT_TRUE(matches_pattern("aab", "a*ab"));
  EXPECT_FALSE(matches_pattern("layer10.conv1.weight", "layer1"));
  EXPECT_FALSE(matches_pattern("layer1.0.conv1.weight", "conv1"));
  EXPECT_FALSE(matches_pattern("layer1.0.conv1.weight", ""));
}

Model small() {
  return Model::create("cifar_resnet20:input=8", 1).value();
}

std::vector<std::string> chosen(const ParameterChoice& choice) {
  const auto names = choose_parameters(small().graph(1).value(), choice);
  EXPECT_TRUE(names.ok()) << names.error().message;
  return names.ok() ? *names : std::vector<std::string>();
}

std::string refused(const ParameterChoice& choice) {
  const auto names = choose_parameters(small().graph(1).value(), choice);
  return names.ok() ? "" : names.error().message;
}

TEST(ChooseParameters, TakesAllUnlessTold) {
  EXPECT_EQ(chosen({}).size(), 59u);  // 19 convolutions, as many batch-norms of two, and the head.
}

TEST(ChooseParameters, KnowsTheHead) {
  EXPECT_THAT(chosen({.train_only = "head", .freeze = {}}),
              ElementsAre("linear.weight", "linear.bias"));
  const auto names = chosen({.train_only = "layer3+head", .freeze = {}});
  EXPECT_EQ(names.size(), 6u * 3 + 2);
  EXPECT_TRUE(std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("layer3.") || name.starts_with("linear.");
  }));
}

TEST(ChooseParameters, LeavesOutWhatIsFrozen) {
  EXPECT_THAT(chosen({.train_only = "layer1", .freeze = {"*.bn*", "layer1.2"}}),
              Each(::testing::AllOf(StartsWith("layer1."), ::testing::EndsWith("weight"))));
  EXPECT_EQ(chosen({.train_only = "all", .freeze = {"head", "layer*"}}).size(), 3u);
}

TEST(ChooseParameters, RefusesNamesThatNoneBears) {
  EXPECT_THAT(refused({.train_only = "layer4+head", .freeze = {}}), HasSubstr("'layer4'"));
  EXPECT_THAT(refused({.train_only = "all", .freeze = {"layer9*"}}), HasSubstr("'layer9*'"));
  EXPECT_THAT(refused({.train_only = "all", .freeze = {"layr1"}}),
              HasSubstr("did you mean 'layer1'"));
  EXPECT_THAT(refused({.train_only = "head", .freeze = {"head"}}), HasSubstr("nothing is left"));
}

TEST(Retarget, KeepsTheHeadWhereTheNumberOfClassesIsTheSame) {
  const Model model = small();
  const auto target = retarget(model, {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 5);
  ASSERT_TRUE(target.ok()) << target.error().message;
  EXPECT_FALSE(target->new_head);
  EXPECT_EQ(target->model.labels()[9], "j");
  for (const auto& [name, tensor] : model.weights()) {
    EXPECT_TRUE(std::ranges::equal(target->model.weights().at(name).bytes(), tensor.bytes()));
  }
}

TEST(Retarget, ReplacesTheHeadByTheSeedWhereItDiffers) {
  const Model model = small();
  const auto target = retarget(model, {"ants", "bees"}, 5);
  ASSERT_TRUE(target.ok()) << target.error().message;
  EXPECT_TRUE(target->new_head);
  EXPECT_EQ(target->model.architecture().full_name(), "cifar_resnet20:classes=2,input=8");
  EXPECT_EQ(target->model.weights().at("linear.weight").shape(), (Shape{2, 64}));
  for (const auto& [name, tensor] : model.weights()) {
    if (name.starts_with("linear.")) continue;
    EXPECT_TRUE(std::ranges::equal(target->model.weights().at(name).bytes(), tensor.bytes()));
  }
  const auto bits = [&](uint64_t seed) {
    const Tensor weight =
        retarget(model, {"ants", "bees"}, seed)->model.weights().at("linear.weight");
    return std::vector<float>(weight.floats().begin(), weight.floats().end());
  };
  EXPECT_EQ(bits(5), bits(5));
  EXPECT_NE(bits(5), bits(6));
}

TEST(Retarget, ReplacesTheLastLayerOfEveryFamily) {
  for (const std::string name : {"resnet18", "vgg11_bn", "cifar_preact_resnet20"}) {
    const auto target = retarget(Model::untrained(name, 1).value(), {"a", "b", "c"}, 1);
    ASSERT_TRUE(target.ok()) << target.error().message;
    EXPECT_TRUE(target->new_head);
    EXPECT_EQ(target->model.architecture().classes, 3);
  }
}

TEST(ClassOrder, IsTheModelsWhereItNamesTheSameClasses) {
  ImageFolder folder{{"a", "b", "c"}, {{"1", 0}, {"2", 1}, {"3", 2}}};
  adopt_class_order(folder, {"c", "a", "b"});
  EXPECT_THAT(folder.classes, ElementsAre("c", "a", "b"));
  EXPECT_EQ(folder.samples[0].label, 1);
  EXPECT_EQ(folder.samples[2].label, 0);
  adopt_class_order(folder, {"x", "a", "b"});
  EXPECT_THAT(folder.classes, ElementsAre("c", "a", "b"));
}

}  // namespace
}  // namespace caldera
