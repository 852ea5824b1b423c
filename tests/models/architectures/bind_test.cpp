// Weights by name: everything that does not fit is told in one line.
#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/architecture.h"

#include "tests/models/architectures/hollow.h"

namespace caldera {
namespace {

using test::hollow_checkpoint;
using test::hollow_tensor;
using ::testing::HasSubstr;
using ::testing::Not;

const Graph& graph() {
  static const Graph graph = build_graph(find_architecture("cifar_resnet20").value(), 1).value();
  return graph;
}

NamedTensor& at(Checkpoint& checkpoint, std::string_view name) {
  return *std::ranges::find(checkpoint.tensors, name, &NamedTensor::name);
}

TEST(Bind, TakesEveryParameterAndState) {
  const auto weights = bind_weights(graph(), hollow_checkpoint(graph()));
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  size_t wanted = 0;
  for (const Value& value : graph().values) {
    if (value.role != ValueRole::kParameter && value.role != ValueRole::kState) continue;
    ++wanted;
    ASSERT_TRUE(weights->contains(value.name));
    EXPECT_EQ(weights->at(value.name).shape(), value.shape);
  }
  EXPECT_EQ(weights->size(), wanted);
}

TEST(Bind, DoesNotNeedBatchCounters) {
  Checkpoint checkpoint = hollow_checkpoint(graph());
  std::erase_if(checkpoint.tensors, [](const NamedTensor& named) {
    return named.name.ends_with("num_batches_tracked");
  });
  EXPECT_TRUE(bind_weights(graph(), checkpoint).ok());
}

TEST(Bind, ConvertsToF32AndSharesWhatIsF32) {
  Checkpoint checkpoint = hollow_checkpoint(graph());
  const double doubles[] = {0.5, -2, 3, 4, 5, 6, 7, 8, 9, 10};
  std::vector<std::byte> bytes(sizeof doubles);
  std::memcpy(bytes.data(), doubles, sizeof doubles);
  at(checkpoint, "linear.bias").tensor = Tensor::from_bytes(DType::kF64, {10}, bytes);
  const auto weights = bind_weights(graph(), checkpoint);
  ASSERT_TRUE(weights.ok()) << weights.error().message;
  EXPECT_EQ(weights->at("linear.bias").floats()[1], -2.0f);
  EXPECT_EQ(weights->at("conv1.weight").bytes().data(),
            checkpoint.find("conv1.weight")->bytes().data());
}

TEST(Bind, ListsAllThatDoesNotFitInOneLine) {
  Checkpoint checkpoint = hollow_checkpoint(graph());
  at(checkpoint, "conv1.weight").name = "stem.weight";
  at(checkpoint, "layer1.0.bn1.bias").name = "layer1.0.bn9.num_batches_tracked";
  at(checkpoint, "linear.weight").tensor = hollow_tensor({100, 64});
  at(checkpoint, "linear.bias").tensor = hollow_tensor({10}, DType::kI64);
  checkpoint.tensors.push_back({"bn1.weight", hollow_tensor({16})});
  const auto weights = bind_weights(graph(), checkpoint);
  ASSERT_FALSE(weights.ok());
  const std::string& message = weights.error().message;
  EXPECT_THAT(message, HasSubstr("2 missing: conv1.weight, layer1.0.bn1.bias;"));
  EXPECT_THAT(message, HasSubstr("2 unexpected: stem.weight, layer1.0.bn9.num_batches_tracked;"));
  EXPECT_THAT(message, HasSubstr("1 of another shape: linear.weight is [100, 64], not [10, 64];"));
  EXPECT_THAT(message, HasSubstr("1 not of a floating-point type: linear.bias (i64);"));
  EXPECT_THAT(message, HasSubstr("1 given twice: bn1.weight"));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
}

TEST(Bind, ListsEveryNameAndShortensThoseOfStrangers) {
  const Graph large = build_graph(find_architecture("cifar_resnet1202").value(), 1).value();
  Checkpoint checkpoint = hollow_checkpoint(graph());
  checkpoint.tensors.push_back({std::string(100000, 'x'), hollow_tensor({1})});
  const auto weights = bind_weights(large, checkpoint);
  ASSERT_FALSE(weights.ok());
  const std::string& message = weights.error().message;
  for (const Value& value : large.values) {
    const bool given = graph().find(value.name) != ValueId::kNone;
    const bool weight = value.role == ValueRole::kParameter || value.role == ValueRole::kState;
    if (weight && !given) {
      ASSERT_THAT(message, HasSubstr(value.name));
    }
  }
  EXPECT_THAT(message, HasSubstr(std::string(128, 'x')));
  EXPECT_THAT(message, Not(HasSubstr(std::string(129, 'x'))));

  Checkpoint strange = hollow_checkpoint(graph());
  for (int i = 0; i < 20'000; ++i) {
    strange.tensors.push_back({"stranger" + std::to_string(i), hollow_tensor({1})});
  }
  EXPECT_THAT(bind_weights(graph(), strange).error().message, HasSubstr(" and more"));
}

}  // namespace
}  // namespace caldera
