// The random numbers of dropout: those that the paper's authors published for this generator
// (Random123, kat_vectors), and what becomes of them.
#include "graph/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace caldera {
namespace {

using testing::ElementsAre;

TEST(Philox, GivesThePublishedNumbers) {
  EXPECT_THAT(philox4x32_10({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_THAT(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(DropoutUniform, TakesTheTop24BitsOfTheElementsWord) {
  const auto words = philox4x32_10({3, 20, 7, 0}, {9, 0x5eed});
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(dropout_uniform(9, 20, 7, 12 + i), static_cast<float>(words[i] >> 8) / 16777216.0f);
  }
}

TEST(DropoutUniform, IsUniform) {
  constexpr int kCount = 100000;
  std::array<int, 10> histogram{};
  double sum = 0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const float u = dropout_uniform(1, 1, 0, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    ++histogram[static_cast<size_t>(u * 10)];
    sum += u;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);
  for (const int count : histogram) EXPECT_NEAR(count, kCount / 10, 500);
}

TEST(DropoutUniform, DiffersByEachOfItsArguments) {
  const auto first = [](uint32_t seed, uint32_t step, uint32_t stream) {
    std::array<float, 8> values{};
    for (uint64_t i = 0; i < values.size(); ++i) values[i] = dropout_uniform(seed, step, stream, i);
    return values;
  };
  EXPECT_EQ(first(1, 2, 3), first(1, 2, 3));
  EXPECT_NE(first(1, 2, 3), first(0, 2, 3));
  EXPECT_NE(first(1, 2, 3), first(1, 0, 3));
  EXPECT_NE(first(1, 2, 3), first(1, 2, 0));
}

}  // namespace
}  // namespace caldera
