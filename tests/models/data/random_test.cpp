// The generator: the same numbers everywhere, apart where keys are apart, and of the distributions
// that are asked for.
#include "models/data/random.h"

#include <array>
#include <set>

#include <gtest/gtest.h>

namespace caldera {
namespace {

TEST(Random, IsTheSameOnEveryMachine) {
  Random random(42, RandomUse::kOrder, 3, 7);
  const uint64_t first = random.next();
  EXPECT_EQ(Random(42, RandomUse::kOrder, 3, 7).next(), first);
  // As first drawn: who changes the generator changes every split and order that users have.
  std::vector<int> values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  Random(1, RandomUse::kSplit).shuffle(values);
  EXPECT_EQ(values, (std::vector<int>{4, 9, 7, 0, 1, 3, 5, 2, 6, 8}));
}

TEST(Random, DiffersByEveryPartOfItsKey) {
  std::set<uint64_t> drawn;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    for (const RandomUse use : {RandomUse::kSplit, RandomUse::kOrder, RandomUse::kAugment}) {
      for (uint64_t first = 0; first < 8; ++first) {
        for (uint64_t second = 0; second < 8; ++second) {
          Random random(seed, use, first, second);
          for (int i = 0; i < 4; ++i) drawn.insert(random.next());
        }
      }
    }
  }
  EXPECT_EQ(drawn.size(), 8u * 3 * 8 * 8 * 4);
}

TEST(Random, BelowIsEven) {
  Random random(1, RandomUse::kOrder);
  std::array<int, 7> count{};
  for (int i = 0; i < 70000; ++i) ++count[random.below(7)];
  for (const int n : count) EXPECT_NEAR(n, 10000, 400);  // Four standard deviations.
}

struct Moments {
  double mean = 0;
  double variance = 0;
};

template <typename Draw>
Moments moments(Draw draw) {
  constexpr int kDraws = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = draw();
    sum += value;
    squares += value * value;
  }
  const double mean = sum / kDraws;
  return {mean, squares / kDraws - mean * mean};
}

TEST(Random, UniformAndNormalHaveTheirMoments) {
  Random random(2, RandomUse::kOrder);
  const Moments uniform = moments([&] { return random.uniform(); });
  EXPECT_NEAR(uniform.mean, 0.5, 0.004);
  EXPECT_NEAR(uniform.variance, 1.0 / 12, 0.002);
  const Moments normal = moments([&] { return random.normal(); });
  EXPECT_NEAR(normal.mean, 0, 0.013);
  EXPECT_NEAR(normal.variance, 1, 0.02);
}

TEST(Random, BetaHasItsMoments) {
  const std::array<std::pair<double, double>, 6> shapes{
      {{0.2, 0.2}, {1, 1}, {0.4, 0.4}, {2, 5}, {8, 8}, {0.5, 3}}};
  for (const auto& [a, b] : shapes) {
    Random random(3, RandomUse::kMixup);
    const Moments beta = moments([&] {
      const double value = random.beta(a, b);
      EXPECT_TRUE(value >= 0 && value <= 1);
      return value;
    });
    const double sum = a + b;
    EXPECT_NEAR(beta.mean, a / sum, 0.006) << a << ", " << b;
    EXPECT_NEAR(beta.variance, a * b / (sum * sum * (sum + 1)), 0.003) << a << ", " << b;
  }
}

TEST(Random, BetaOfATinyShapeIsOneOrTheOther) {
  Random random(4, RandomUse::kMixup);
  int ones = 0;
  for (int i = 0; i < 1000; ++i) {
    const double value = random.beta(1e-4, 1e-4);
    ASSERT_TRUE(value < 0.01 || value > 0.99) << value;
    ones += value > 0.5;
  }
  EXPECT_NEAR(ones, 500, 80);
}

}  // namespace
}  // namespace caldera
