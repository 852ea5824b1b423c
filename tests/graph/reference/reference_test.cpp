// The CPU reference and the shape rules against PyTorch, case by case as write_cases.py has them
// written: same output shape, same values, and the same after an update.
#include "caldera/reference.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "graph/ops/ops.h"
#include "tests/graph/reference/cases.h"
#include "tests/graph/reference/net.h"
#include "tests/support/require.h"

namespace caldera {
namespace {

using nlohmann::json;
using test::cases;
using test::Net;

// What float outputs of double sums may differ by.
constexpr double kTolerance = 1e-6;

#define SKIP_WITHOUT_CASES()                                                          \
  if (cases().all().empty()) {                                                        \
    CALDERA_SKIP_UNLESS_REQUIRED("no cases in " CALDERA_REFERENCE_CASES               \
                                 ": write them there with "                           \
                                 "tests/graph/reference/write_cases.py, which needs " \
                                 "PyTorch");                                          \
  }

void expect_near(const std::vector<float>& found, const json& expected, double tolerance) {
  EXPECT_LE(relative_l2(found, cases().values(expected)), tolerance);
}

void check(const json& test) {
  SCOPED_TRACE(test.at("op").get<std::string>() + ": " + test.at("name").get<std::string>());
  const Attrs attrs = test::parse_attrs(test.at("op"), test.at("attrs"));

  // One node, all of its operands inputs of the graph.
  Net net;
  std::vector<ValueId> operands, updates;
  std::vector<Shape> shapes, updated;
  std::vector<std::vector<float>> inputs;
  for (const json& input : test.at("inputs")) {
    shapes.push_back(input.at("shape").get<Shape>());
    operands.push_back(net.input(shapes.back()));
    inputs.push_back(cases().values(input));
  }
  for (const json& update : test.at("updates")) {
    const json& before = update.at("before");
    updated.push_back(before.at("shape").get<Shape>());
    updates.push_back(net.parameter(updated.back(), cases().values(before)));
  }
  const Status allowed = check_updates(attrs, shapes, updated);
  ASSERT_TRUE(allowed.ok()) << allowed.error().message;
  const ValueId output = net.node(attrs, operands, updates);

  const ReferenceValues values = net.run(inputs);
  for (size_t i = 0; i < updates.size(); ++i) {
    expect_near(values[updates[i]], test.at("updates")[i].at("after"), kTolerance);
  }
  if (test.at("output").is_null()) {
    ASSERT_EQ(output, ValueId::kNone);
    return;
  }
  ASSERT_NE(output, ValueId::kNone);
  ASSERT_EQ(net.shape(output), test.at("output").at("shape").get<Shape>());
  expect_near(values[output], test.at("output"), kTolerance);
}

class ReferenceAgreesWithPyTorch : public testing::TestWithParam<OpKind> {};

TEST_P(ReferenceAgreesWithPyTorch, OnEveryCase) {
  SKIP_WITHOUT_CASES();
  int count = 0;
  for (const json& test : cases().all()) {
    if (test.at("op") != op_name(GetParam())) continue;
    check(test);
    ++count;
  }
  EXPECT_GT(count, 0) << "PyTorch wrote no case for " << op_name(GetParam());
}

std::vector<OpKind> every_kind() {
  std::vector<OpKind> kinds;
  for (size_t i = 0; i < std::variant_size_v<Attrs>; ++i) kinds.push_back(static_cast<OpKind>(i));
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Operators, ReferenceAgreesWithPyTorch, testing::ValuesIn(every_kind()),
                         [](const auto& kind) { return std::string(op_name(kind.param)); });

TEST(ReferenceAgreesWithPyTorch, OnTheDataGradientOfConvolutions) {
  SKIP_WITHOUT_CASES();
  int count = 0;
  for (const json& test : cases().all()) {
    if (test.at("op") != "conv2d_data_gradient") continue;
    SCOPED_TRACE(test.at("name").get<std::string>());
    const auto attrs = std::get<Conv2dWeightGradientAttrs>(
        test::parse_attrs("conv2d_weight_gradient", test.at("attrs")));
    const json& dy = test.at("inputs")[0];
    const json& weight = test.at("inputs")[1];
    const auto expected = test.at("output").at("shape").get<Shape>();
    Net net;
    const ValueId dx = conv2d_data_gradient(
        net, {attrs.stride, attrs.padding, attrs.dilation, attrs.groups}, net.input(dy.at("shape")),
        net.parameter(weight.at("shape"), cases().values(weight)),
        {static_cast<int32_t>(expected[2]), static_cast<int32_t>(expected[3])});
    ASSERT_EQ(net.shape(dx), expected);
    expect_near(net.run({cases().values(dy)})[dx], test.at("output"), kTolerance);
    ++count;
  }
  EXPECT_GT(count, 0);
}

// Norms and optimizer together, each step from what the reference's own last step left.
TEST(ReferenceAgreesWithPyTorch, OnSeveralStepsOfEveryOptimizer) {
  SKIP_WITHOUT_CASES();
  int count = 0;
  for (const json& test : cases().all()) {
    if (test.at("op") != "optimizer_steps") continue;
    SCOPED_TRACE(test.at("name").get<std::string>());
    const auto attrs = std::get<OptimizerAttrs>(test::parse_attrs("optimizer", test.at("attrs")));
    Net net;
    const ValueId scalars = net.input({1, kScalarCount});
    std::vector<ValueId> updates;
    for (const json& before : test.at("before")) {
      updates.push_back(net.parameter(before.at("shape"), cases().values(before)));
    }
    const size_t parameters = updates.size() / static_cast<size_t>(optimizer_slots(attrs));
    std::vector<ValueId> gradients(updates.begin() + static_cast<ptrdiff_t>(parameters),
                                   updates.begin() + static_cast<ptrdiff_t>(2 * parameters));
    std::vector<ValueId> measured = gradients;
    measured.push_back(scalars);
    const ValueId norms = net.node(GradientNormsAttrs{}, measured);
    net.node(attrs, {norms, scalars}, updates);
    const auto set = [&](ValueId id, std::vector<float> values) {
      const Value& value = net.graph.value(id);
      net.weights[value.name] = Tensor::from_floats(value.shape, std::move(values));
    };
    for (const json& step : test.at("steps")) {
      for (size_t i = 0; i < parameters; ++i) {
        set(gradients[i], cases().values(step.at("gradients")[i]));
      }
      const ReferenceValues values = net.run({cases().values(step.at("scalars"))});
      for (size_t i = 0; i < updates.size(); ++i) {
        expect_near(values[updates[i]], step.at("after")[i], 2 * kTolerance);
        set(updates[i], values[updates[i]]);
      }
    }
    ++count;
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace caldera
