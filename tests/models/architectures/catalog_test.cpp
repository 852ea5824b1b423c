// Names and parameters: what is found, what its full name is, and what a wrong one is told.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/architecture.h"

namespace caldera {
namespace {

using ::testing::HasSubstr;

Architecture found(std::string_view name) {
  auto architecture = find_architecture(name);
  EXPECT_TRUE(architecture.ok()) << architecture.error().message;
  return architecture.ok() ? *architecture : Architecture{};
}

std::string message(std::string_view name) {
  const auto architecture = find_architecture(name);
  EXPECT_FALSE(architecture.ok()) << name;
  return architecture.ok() ? "" : architecture.error().message;
}

TEST(Catalog, ListsEveryFamilyMemberOnce) {
  std::set<std::string> names;
  for (const ArchitectureEntry& entry : list_architectures()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_FALSE(entry.description.empty()) << entry.name;
    EXPECT_EQ(found(entry.name).full_name(), entry.name);
  }
  for (const char* name : {"resnet18", "resnet152", "plain34", "resnext101_64x4d",
                           "wide_resnet101_2", "preact_resnet152", "cifar_resnet1202",
                           "cifar_plain110", "cifar_preact_resnet1001", "vgg11", "vgg19_bn"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Catalog, FullNamesFindThemselves) {
  for (const char* name : {
           "resnet34:shortcut=c",
           "resnet34:shortcut=a,zeros=centered",
           "resnet50:stride=first,input=64",
           "resnet50:layers=2-2-2-2",
           "resnet18:block=bottleneck",
           "resnext50_32x4d:groups=16,width=8,classes=10",
           "resnet18:classes=2,input=192x256,channels=1",
           "cifar_resnet20:zeros=end,classes=100",
           "cifar_resnet20:block=bottleneck",
           "cifar_resnet29:block=bottleneck",
           "cifar_preact_resnet164:block=basic",
           "cifar_resnet74",
           "vgg16:classes=5,input=64,channels=4",
       }) {
    EXPECT_EQ(found(name).full_name(), name);
  }
}

TEST(Catalog, FullNamesLeaveOutWhatTheMemberHas) {
  EXPECT_EQ(found("resnet50:stride=3x3,classes=1000,input=224x224").full_name(), "resnet50");
  EXPECT_EQ(found("cifar_resnet56:shortcut=a,zeros=centered").full_name(), "cifar_resnet56");
  EXPECT_EQ(found("resnet18:").full_name(), "resnet18");
}

TEST(Catalog, ParametersMeanWhatTheySay) {
  const Architecture a =
      found("resnet50:stride=first,shortcut=c,zeros=centered,classes=7,input=96x64,channels=1");
  EXPECT_TRUE(a.stride_on_first);
  EXPECT_EQ(a.shortcut, Shortcut::kProjectAll);
  EXPECT_EQ(a.zero_channels, ZeroChannels::kCentered);
  EXPECT_EQ(a.classes, 7);
  EXPECT_EQ(a.input, (Size2d{96, 64}));
  EXPECT_EQ(a.input_channels, 1);
  EXPECT_EQ(a.layers, (std::vector<int32_t>{3, 4, 6, 3}));
}

TEST(Catalog, CifarNetsComeInEveryDepth) {
  EXPECT_EQ(found("cifar_resnet20").layers, (std::vector<int32_t>{3, 3, 3}));
  EXPECT_EQ(found("cifar_plain1202").layers, (std::vector<int32_t>{200, 200, 200}));
  EXPECT_EQ(found("cifar_resnet20").shortcut, Shortcut::kZeroPad);
  EXPECT_EQ(found("cifar_resnet20").zero_channels, ZeroChannels::kCentered);
  EXPECT_EQ(found("cifar_plain20").shortcut, Shortcut::kNone);
  EXPECT_EQ(found("cifar_resnet20").classes, 10);
  // The identity-mappings paper's: 110 of basic blocks, 164 and 1001 of bottlenecks.
  EXPECT_EQ(found("cifar_preact_resnet110").block, BlockKind::kBasic);
  EXPECT_EQ(found("cifar_preact_resnet164").layers, (std::vector<int32_t>{18, 18, 18}));
  EXPECT_EQ(found("cifar_preact_resnet1001").layers, (std::vector<int32_t>{111, 111, 111}));
  EXPECT_THAT(message("cifar_resnet21"), HasSubstr("the depth must be 6n+2"));
  EXPECT_THAT(message("cifar_resnet21:block=bottleneck"), HasSubstr("the depth must be 9n+2"));
  EXPECT_THAT(message("cifar_plain2"), HasSubstr("6n+2"));
  EXPECT_THAT(message("cifar_resnet99999999999999999999"), HasSubstr("6n+2"));
  EXPECT_LT(message("cifar_resnet" + std::string(100000, '1')).size(), 200u);
  EXPECT_EQ(found("cifar_resnet020").full_name(), "cifar_resnet20");
}

TEST(Catalog, UnknownNamesAreToldTheNearest) {
  EXPECT_THAT(message("resnet51"), HasSubstr("the nearest is 'resnet50'"));
  EXPECT_THAT(message("vgg16bn"), HasSubstr("the nearest is 'vgg16_bn'"));
  EXPECT_THAT(message("cifar_resnet"), HasSubstr("the nearest is 'cifar_resnet"));
  EXPECT_THAT(message("ResNet18"), HasSubstr("the nearest is 'resnet18'"));
  EXPECT_LT(message(std::string(100000, 'x')).size(), 200u);
}

TEST(Catalog, WrongParametersAreToldWhatIsExpected) {
  EXPECT_THAT(message("resnet50:stride=second"), HasSubstr("should be first or 3x3"));
  EXPECT_THAT(message("resnet50:shortcut"), HasSubstr("should be a, b, c or none"));
  EXPECT_THAT(message("resnet50:classes=0"), HasSubstr("classes=0"));
  EXPECT_THAT(message("resnet50:classes=-5"), HasSubstr("should be"));
  EXPECT_THAT(message("resnet50:classes=10x"), HasSubstr("should be"));
  EXPECT_THAT(message("resnet50:classes=99999999999999999999"), HasSubstr("should be"));
  EXPECT_THAT(message("resnet50:input=0x5"), HasSubstr("height first"));
  EXPECT_THAT(message("resnet50:layers=1-2-3"), HasSubstr("3-4-6-3"));
  EXPECT_THAT(message("resnet50:layers=5000-5000-5000-5000"), HasSubstr("blocks a stage"));
  EXPECT_THAT(message("resnet50:colour=red"), HasSubstr("has no parameter 'colour'; it has block"));
  EXPECT_THAT(message("vgg16:shortcut=a"), HasSubstr("it has classes, input, channels"));
  EXPECT_THAT(message("resnet50:,"), HasSubstr("has no parameter ''"));
}

}  // namespace
}  // namespace caldera
