// Targets: with them the plain loss, and its gradient, are those of PyTorch's cross_entropy.
#include "caldera/targets.h"

#include <cmath>
#include <limits>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> values(const Result<Tensor>& targets) {
  EXPECT_TRUE(targets.ok()) << targets.error().message;
  const std::span<const float> floats = targets->floats();
  return {floats.begin(), floats.end()};
}

struct Loss {
  double value = 0;
  std::vector<double> gradient;  // [N, C]
};

// -sum T * log_softmax(logits), and softmax * (sum of T's row) - T.
Loss loss_of(const Tensor& targets, const std::vector<double>& logits) {
  const auto n = static_cast<size_t>(targets.shape()[0]);
  const auto classes = static_cast<size_t>(targets.shape()[1]);
  Loss loss;
  for (size_t i = 0; i < n; ++i) {
    double sum = 0, row = 0;
    for (size_t c = 0; c < classes; ++c) {
      sum += std::exp(logits[i * classes + c]);
      row += targets.floats()[i * classes + c];
    }
    for (size_t c = 0; c < classes; ++c) {
      const double logit = logits[i * classes + c];
      const double target = targets.floats()[i * classes + c];
      loss.value -= target * (logit - std::log(sum));
      loss.gradient.push_back(std::exp(logit) / sum * row - target);
    }
  }
  return loss;
}

template <typename T>
std::vector<T> read(std::istream& from, size_t count) {
  std::vector<T> out(count);
  for (T& value : out) from >> value;
  return out;
}

TEST(MakeTargets, GivePyTorchsCrossEntropy) {
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  ASSERT_TRUE(test::run_script("make_reference.py", {"targets", scratch.path()}));
  const std::vector<std::string> cases = test::read_cases(scratch.path());
  ASSERT_EQ(cases.size(), 50u);
  for (const std::string& line : cases) {
    std::istringstream fields(line);
    size_t n = 0, classes = 0;
    TargetOptions options;
    bool weighted = false, mixed = false, per_sample = false;
    double wanted = 0;
    fields >> n >> classes >> options.label_smoothing >> options.ignore_index >> weighted >>
        mixed >> per_sample >> wanted;
    const auto labels = read<int32_t>(fields, n);
    Mixup mixup;
    mixup.partner = read<int32_t>(fields, n);
    mixup.weight = read<float>(fields, n);
    const auto weights = read<float>(fields, classes);
    if (weighted) options.class_weights = weights;
    const auto logits = read<double>(fields, n * classes);
    const auto gradient = read<double>(fields, n * classes);
    ASSERT_TRUE(fields) << line;
    SCOPED_TRACE(line.substr(0, 40));

    const auto targets =
        make_targets(labels, static_cast<int64_t>(classes), options, mixed ? &mixup : nullptr);
    ASSERT_TRUE(targets.ok()) << targets.error().message;
    const Loss loss = loss_of(*targets, logits);
    EXPECT_NEAR(loss.value, wanted, 2e-6 * std::max(1.0, wanted));
    for (size_t i = 0; i < gradient.size(); ++i) {
      EXPECT_NEAR(loss.gradient[i], gradient[i], 1e-6) << i;
    }
  }
}

TEST(MakeTargets, OfPlainLabelsAreOneInNAtTheLabel) {
  const std::vector<int32_t> labels{1, 0};
  EXPECT_THAT(values(make_targets(labels, 3)), ElementsAre(0, 0.5f, 0, 0.5f, 0, 0));
  EXPECT_EQ(make_targets(labels, 3)->shape(), (Shape{2, 3}));
}

TEST(MakeTargets, OfIgnoredSamplesAreZeroAndTheRestShareTheMean) {
  const std::vector<int32_t> labels{-100, 1, -100};
  EXPECT_THAT(values(make_targets(labels, 2, {.label_smoothing = 0.5})),
              ElementsAre(0, 0, 0.25f, 0.75f, 0, 0));
  const std::vector<int32_t> none{-100, -100};
  EXPECT_THAT(values(make_targets(none, 2)), Each(0.0f));
}

TEST(MakeTargets, RefuseWhatCannotBeMeant) {
  const std::vector<int32_t> labels{0, 2};
  const auto why = [](const Result<Tensor>& targets) {
    return targets.ok() ? "" : targets.error().message;
  };
  EXPECT_EQ(why(make_targets(labels, 3)), "");
  EXPECT_THAT(why(make_targets(labels, 2)), HasSubstr("sample 1 has the label 2"));
  EXPECT_THAT(why(make_targets(std::vector<int32_t>{-1}, 2)), HasSubstr("label -1"));
  EXPECT_THAT(why(make_targets(labels, 0)), HasSubstr("at least one class"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const double smoothing : {-0.1, 1.1, double{nan}}) {
    EXPECT_THAT(why(make_targets(labels, 3, {.label_smoothing = smoothing})),
                HasSubstr("from 0 to 1"));
  }
  EXPECT_THAT(why(make_targets(labels, 3, {.class_weights = {1, 2}})),
              HasSubstr("2 class weights"));
  for (const float weight : {-1.0f, nan, std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(why(make_targets(labels, 3, {.class_weights = {1, weight, 1}})),
                HasSubstr("class weight"));
  }
  const Mixup short_one{{0.5f}, {0}};
  EXPECT_THAT(why(make_targets(labels, 3, {}, &short_one)), HasSubstr("mixup is of 1"));
  const Mixup beyond{{0.5f, 0.5f}, {0, 2}};
  EXPECT_THAT(why(make_targets(labels, 3, {}, &beyond)), HasSubstr("sample 2 of 2"));
}

}  // namespace
}  // namespace caldera
