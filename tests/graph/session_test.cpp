// A session as a whole: right results through branches and reused memory, fused or not; forks on
// threads; and what it refuses.
#include "caldera/session.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/reference.h"

#include "graph/test_hooks.h"
#include "runtime/device_impl.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/small_blocks.h"
#include "tests/graph/small_net.h"
#include "tests/support/device.h"

namespace caldera::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using Floats = std::vector<float>;

constexpr double kTolerance = 1e-5;  // Relative L2.

Floats reference_output(const Graph& graph, const Weights& weights,
                        const std::vector<Floats>& inputs) {
  return run_reference(graph, weights, inputs).value()[graph.outputs[0]];
}

Floats run(Session& session, const Floats& input, size_t output_size) {
  Floats output(output_size, std::numeric_limits<float>::quiet_NaN());
  const Status done = session.run(input, output);
  EXPECT_TRUE(done.ok()) << done.error().message;
  return output;
}

class SmallNet : public testing::TestWithParam<std::tuple<bool, int64_t>> {
 protected:
  bool fuse() const { return std::get<0>(GetParam()); }
  const Graph graph = small_net(std::get<1>(GetParam()));
  const Weights weights = random_weights(graph);
  const std::vector<Floats> inputs = random_inputs(graph);
};

TEST_P(SmallNet, GivesTheReferencesLogits) {
  CALDERA_REQUIRE_DEVICE(device);
  const Floats expected = reference_output(graph, weights, inputs);
  auto session = Session::create(device, graph, weights, {.fuse = fuse()});
  ASSERT_TRUE(session.ok()) << session.error().message;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(poison_memory(*session).ok());
    EXPECT_LE(relative_l2(run(*session, inputs[0], expected.size()), expected), kTolerance);
  }
}

TEST_P(SmallNet, KeepsEveryActivationToBeRead) {
  CALDERA_REQUIRE_DEVICE(device);
  auto session =
      Session::create(device, graph, weights, {.fuse = fuse(), .keep_activations = true});
  ASSERT_TRUE(session.ok()) << session.error().message;
  run(*session, inputs[0], reference_output(graph, weights, inputs).size());
  // The session's own graph, after the passes.
  const Graph& ran = session->graph();
  const auto expected = run_reference(ran, session->weights().value(), inputs);
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  for (const Node& node : ran.nodes) {
    const auto values = session->read(node.output());
    ASSERT_TRUE(values.ok()) << node.name << ": " << values.error().message;
    ASSERT_EQ(values->size(), (*expected)[node.output()].size()) << node.name;
    EXPECT_LE(relative_l2(*values, (*expected)[node.output()]), kTolerance) << node.name;
  }
}

// What every kernel may rely on: beside the last channel lie zeros, whatever an activation makes of
// zero and whatever lay there before.
TEST_P(SmallNet, LeavesZerosBesideTheLastChannel) {
  CALDERA_REQUIRE_DEVICE(device);
  auto session =
      Session::create(device, graph, weights, {.fuse = fuse(), .keep_activations = true});
  ASSERT_TRUE(session.ok()) << session.error().message;
  ASSERT_TRUE(poison_memory(*session).ok());
  run(*session, inputs[0], reference_output(graph, weights, inputs).size());
  int padded = 0;
  for (const Node& node : session->graph().nodes) {
    const auto values = read_padded(*session, node.output());
    ASSERT_TRUE(values.ok()) << node.name << ": " << values.error().message;
    const auto channels = static_cast<size_t>(session->graph().value(node.output()).shape[1]);
    const size_t stride = channels <= 4 ? 4 : (channels + 7) / 8 * 8;
    for (size_t i = 0; i < values->size(); ++i) {
      if (i % stride < channels) continue;
      ++padded;
      ASSERT_EQ((*values)[i], 0.0f) << node.name << ", " << i;
    }
  }
  EXPECT_GT(padded, 0);
}

TEST_P(SmallNet, ReusesActivationMemory) {
  CALDERA_REQUIRE_DEVICE(device);
  auto session = Session::create(device, graph, weights, {.fuse = fuse()});
  auto keeping =
      Session::create(device, graph, weights, {.fuse = fuse(), .keep_activations = true});
  ASSERT_TRUE(session.ok() && keeping.ok());
  const SessionStats stats = session->stats();
  EXPECT_GT(stats.arena_lower_bound, 0u);
  EXPECT_GE(stats.arena_bytes, stats.arena_lower_bound);
  EXPECT_LT(stats.arena_bytes, keeping->stats().arena_bytes);
}

TEST_P(SmallNet, GivesTheSameBitsInSmallBlocks) {
  CALDERA_REQUIRE_DEVICE(device);
  expect_same_bits_in_small_blocks(device, graph, weights, inputs, {.fuse = fuse()});
}

TEST_P(SmallNet, IsReadAndForkedFromSmallBlocks) {
  CALDERA_REQUIRE_DEVICE(device);
  const SessionOptions options{.fuse = fuse(), .keep_activations = true};
  auto whole = Session::create(device, graph, weights, options);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  auto small = create_session_within(with_blocks(device, uint64_t{1} << 12), device, graph, weights,
                                     options);
  ASSERT_TRUE(small.ok()) << small.error().message;
  EXPECT_GT(small->stats().weights_blocks.size(), 1u);
  EXPECT_GT(small->stats().arena_blocks.size(), 1u);
  Session fork = small->fork().value();
  const size_t size = 5 * static_cast<size_t>(graph.value(graph.outputs[0]).shape[0]);
  const Floats expected = run(*whole, inputs[0], size);
  for (Session* session : {&*small, &fork}) {
    ASSERT_TRUE(poison_memory(*session).ok());
    EXPECT_EQ(run(*session, inputs[0], size), expected);
    for (const Node& node : session->graph().nodes) {
      EXPECT_EQ(session->read(node.output()).value(), whole->read(node.output()).value())
          << node.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(FusedAndNot, SmallNet,
                         testing::Combine(testing::Bool(), testing::Values(1, 2, 5)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param) ? "fused" : "unfused") +
                                  "_batch" + std::to_string(std::get<1>(test.param));
                         });

TEST(Session, DispatchesLessWhenFused) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  const auto fused = Session::create(device, graph, random_weights(graph), {});
  const auto unfused = Session::create(device, graph, random_weights(graph), {.fuse = false});
  ASSERT_TRUE(fused.ok() && unfused.ok());
  EXPECT_LT(fused->stats().dispatches, unfused->stats().dispatches);
}

TEST(Session, NamesAKernelForEachNode) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  const auto session = Session::create(device, graph, random_weights(graph));
  ASSERT_TRUE(session.ok()) << session.error().message;
  const std::vector<std::string> known = kernel_names();
  const std::vector<std::string> kernels = session->kernels();
  ASSERT_EQ(kernels.size(), session->graph().nodes.size());
  for (const std::string& kernel : kernels) {
    if (!kernel.empty()) {
      EXPECT_THAT(known, testing::Contains(kernel));
    }
  }
}

TEST(Session, TakesSeveralInputsAndGivesSeveralOutputs) {
  CALDERA_REQUIRE_DEVICE(device);
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 3, 5, 7});
  const ValueId y = b.input("y", {2, 4, 5, 7});
  const ValueId conv = b.conv2d("conv", b.concat("join", {x, y}), 6, {3, 3}, {});
  const ValueId relu = b.relu("relu", conv);
  b.output(conv);  // An output that others read on.
  b.output(b.flatten("flatten", b.adaptive_avg_pool2d("pool", relu, {{1, 1}})));
  const Graph graph = std::move(b).finish().value();
  const Weights weights = random_weights(graph);
  const std::vector<Floats> inputs = random_inputs(graph);
  const auto expected = run_reference(graph, weights, inputs).value();

  for (const bool fuse : {false, true}) {
    auto session = Session::create(device, graph, weights, {.fuse = fuse});
    ASSERT_TRUE(session.ok()) << session.error().message;
    ASSERT_TRUE(poison_memory(*session).ok());
    Floats first(expected[graph.outputs[0]].size()), second(expected[graph.outputs[1]].size());
    const std::array<std::span<const float>, 2> given{inputs[0], inputs[1]};
    const std::array<std::span<float>, 2> results{first, second};
    const Status done = session->run(given, results);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_LE(relative_l2(first, expected[graph.outputs[0]]), kTolerance);
    EXPECT_LE(relative_l2(second, expected[graph.outputs[1]]), kTolerance);
  }
}

// As if it had been made with them, whatever was folded.
TEST_P(SmallNet, TakesOtherWeights) {
  CALDERA_REQUIRE_DEVICE(device);
  Weights others = weights;
  for (auto& [name, tensor] : others) {
    Floats values(tensor.floats().begin(), tensor.floats().end());
    for (float& value : values) value = 0.5f * std::abs(value) + 0.1f;
    tensor = Tensor::from_floats(tensor.shape(), std::move(values));
  }
  auto made = Session::create(device, graph, others, {.fuse = fuse()});
  auto session = Session::create(device, graph, weights, {.fuse = fuse()});
  ASSERT_TRUE(made.ok() && session.ok());
  const size_t size = reference_output(graph, weights, inputs).size();
  const Floats before = run(*session, inputs[0], size);
  const uint64_t buffers = device.allocation_count();
  ASSERT_TRUE(session->set_weights(others).ok());
  EXPECT_LE(device.allocation_count(), buffers + 1);  // Staging, where there is need of it.
  EXPECT_EQ(run(*session, inputs[0], size), run(*made, inputs[0], size));
  const Weights told = session->weights().value();
  const Weights expected = made->weights().value();
  for (const auto& [name, tensor] : expected) {
    EXPECT_TRUE(std::ranges::equal(tensor.floats(), told.at(name).floats())) << name;
  }
  ASSERT_TRUE(session->set_weights(weights).ok());
  EXPECT_EQ(run(*session, inputs[0], size), before);
}

TEST(Session, RemembersNothingOfEarlierRuns) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(2);
  auto session = Session::create(device, graph, random_weights(graph));
  ASSERT_TRUE(session.ok()) << session.error().message;
  const Floats a = random_inputs(graph, 3)[0], b = random_inputs(graph, 4)[0];
  const Floats of_a = run(*session, a, 10), of_b = run(*session, b, 10);
  EXPECT_NE(of_a, of_b);
  EXPECT_EQ(run(*session, a, 10), of_a);
  EXPECT_EQ(run(*session, b, 10), of_b);
}

TEST(Session, GivesTheSameBitsOnForksOfOtherThreads) {
  CALDERA_REQUIRE_DEVICE(device);
  constexpr uint32_t kInputs = 20;
  const Graph graph = small_net(2);
  auto session = Session::create(device, graph, random_weights(graph));
  ASSERT_TRUE(session.ok()) << session.error().message;
  std::vector<Floats> alone;
  for (uint32_t i = 0; i < kInputs; ++i) {
    alone.push_back(run(*session, random_inputs(graph, i)[0], 10));
  }
  auto one = session->fork(), two = session->fork();
  ASSERT_TRUE(one.ok() && two.ok());
  std::vector<Floats> of_one(kInputs), of_two(kInputs);
  const auto run_all = [&](Session& fork, std::vector<Floats>& outputs, bool backwards) {
    for (uint32_t i = 0; i < kInputs; ++i) {
      const uint32_t at = backwards ? kInputs - 1 - i : i;
      outputs[at] = run(fork, random_inputs(graph, at)[0], 10);
    }
  };
  std::thread first([&] { run_all(*one, of_one, false); });
  std::thread second([&] { run_all(*two, of_two, true); });
  first.join();
  second.join();
  EXPECT_EQ(of_one, alone);
  EXPECT_EQ(of_two, alone);
}

TEST(Session, MayBeOutlivedByItsForks) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  std::optional<Session> fork;
  Floats expected;
  const Floats input = random_inputs(graph)[0];
  {
    auto session = Session::create(device, graph, random_weights(graph));
    ASSERT_TRUE(session.ok()) << session.error().message;
    expected = run(*session, input, 5);
    auto forked = session->fork();
    ASSERT_TRUE(forked.ok()) << forked.error().message;
    fork = std::move(forked).value();
  }
  EXPECT_EQ(run(*fork, input, 5), expected);
  EXPECT_EQ(fork->stats().weights_bytes, fork->fork().value().stats().weights_bytes);
}

// The batch that an error says would fit.
int64_t advised_batch(const Error& error) {
  EXPECT_EQ(error.code, ErrorCode::kOutOfMemory);
  constexpr std::string_view kBefore = "a batch of about ";
  const size_t at = error.message.find(kBefore);
  EXPECT_NE(at, std::string::npos) << error.message;
  return at == std::string::npos ? 0 : std::stoll(error.message.substr(at + kBefore.size()));
}

TEST(SessionRefuses, ABatchThatMemoryDoesNotHoldAndNamesOneThatFits) {
  CALDERA_REQUIRE_DEVICE(validated);
  Result<Device> opened = Device::open();
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Device device = std::move(opened).value();
  const Graph graph = small_net(64);
  const Weights weights = random_weights(graph);
  const SessionStats stats = Session::create(device, graph, weights).value().stats();
  device.impl().limit_memory(stats.weights_bytes + stats.arena_bytes * 2 / 3);
  const auto refused = Session::create(device, graph, weights);
  ASSERT_FALSE(refused.ok());
  const int64_t batch = advised_batch(refused.error());
  EXPECT_THAT(batch, AllOf(Ge(38), Le(42)));
  const auto fits = Session::create(device, small_net(batch), weights);
  EXPECT_TRUE(fits.ok()) << fits.error().message;
  device.impl().limit_memory(stats.weights_bytes / 2);
  EXPECT_THAT(Session::create(device, graph, weights).error().message,
              HasSubstr("its weights alone are too large"));
}

TEST(SessionRefuses, ABatchOfAValueThatNoBlockHoldsAndNamesOneThatFits) {
  CALDERA_REQUIRE_DEVICE(validated);
  Result<Device> opened = Device::open();
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Device device = std::move(opened).value();
  constexpr uint64_t kBlock = uint64_t{2} << 20;
  device.impl().limit_memory(UINT64_MAX, kBlock);
  const Graph graph = small_net(1000);  // What joins its branches takes 9,152 bytes an image.
  const Weights weights = random_weights(graph);
  const auto refused = Session::create(device, graph, weights);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("2 MiB at most in one piece"));
  const int64_t batch = advised_batch(refused.error());
  EXPECT_EQ(batch, kBlock / 9152);
  const auto fits = Session::create(device, small_net(batch), weights);
  ASSERT_TRUE(fits.ok()) << fits.error().message;
  EXPECT_THAT(fits->stats().arena_blocks, Each(Le(kBlock)));
  EXPECT_GT(fits->stats().arena_blocks.size(), 1u);
}

TEST(SessionRefuses, AnUnknownKernel) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  const auto session =
      Session::create(device, graph, random_weights(graph), {.kernels = {"conv2d_by_hand"}});
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(session.error().message, HasSubstr("conv2d_by_hand"));
}

TEST(SessionRefuses, MissingAndMisshapenWeightsByName) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  Weights weights = random_weights(graph);
  weights.erase("fc1.bias");
  const auto missing = Session::create(device, graph, weights);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("fc1.bias"));
  weights["fc1.bias"] = Tensor::from_floats({3}, {1, 2, 3});
  const auto misshapen = Session::create(device, graph, weights);
  ASSERT_FALSE(misshapen.ok());
  EXPECT_THAT(misshapen.error().message, HasSubstr("fc1.bias"));
}

TEST(SessionRefuses, OtherWeightsOfOtherShapesOrThatForksShare) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  const Weights weights = random_weights(graph);
  Session session = Session::create(device, graph, weights).value();
  Weights others = weights;
  others.begin()->second = Tensor::from_floats({1}, {0.0f});
  const Status misshapen = session.set_weights(others);
  ASSERT_FALSE(misshapen.ok());
  EXPECT_THAT(misshapen.error().message, HasSubstr(others.begin()->first));
  {
    const Session fork = session.fork().value();
    const Status shared = session.set_weights(weights);
    ASSERT_FALSE(shared.ok());
    EXPECT_THAT(shared.error().message, HasSubstr("forks"));
  }
  EXPECT_TRUE(session.set_weights(weights).ok());
}

TEST(SessionRefuses, SpansOfAnotherSizeAndStillRuns) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  auto session = Session::create(device, graph, random_weights(graph));
  ASSERT_TRUE(session.ok()) << session.error().message;
  const Floats input = random_inputs(graph)[0];
  const Floats short_input(input.begin(), input.end() - 1);
  Floats output(5), short_output(4);
  EXPECT_FALSE(session->run(short_input, output).ok());
  EXPECT_FALSE(session->run(input, short_output).ok());
  EXPECT_FALSE(session->run(std::span<const std::span<const float>>(), {}).ok());
  EXPECT_TRUE(session->run(input, output).ok());
}

TEST(SessionRefuses, ToReadActivationsThatWereNotKept) {
  CALDERA_REQUIRE_DEVICE(device);
  const Graph graph = small_net(1);
  auto session = Session::create(device, graph, random_weights(graph));
  ASSERT_TRUE(session.ok()) << session.error().message;
  run(*session, random_inputs(graph)[0], 5);
  const auto values = session->read(session->graph().nodes[0].output());
  ASSERT_FALSE(values.ok());
  EXPECT_THAT(values.error().message, HasSubstr("keep_activations"));
}

// A broken checkpoint must not give plausible logits: a NaN stays a NaN, alone and fused.
TEST(NotANumber, GoesThroughEveryActivation) {
  CALDERA_REQUIRE_DEVICE(device);
  for (const Activation activation : {Activation::kRelu, Activation::kRelu6, Activation::kSigmoid,
                                      Activation::kSilu, Activation::kHardSwish}) {
    GraphBuilder b;
    const ValueId x = b.input("x", {1, 2, 1, 3});
    b.output(b.activation("alone", x, activation));
    b.output(b.activation("fused", b.conv2d("conv", x, 2, {1, 1}), activation));
    const Graph graph = std::move(b).finish().value();
    auto session = Session::create(device, graph, random_weights(graph));
    ASSERT_TRUE(session.ok()) << session.error().message;
    const Floats input{1, NAN, -1, 2, -2, 3};
    Floats alone(6), fused(6);
    const std::array<std::span<const float>, 1> given{input};
    const std::array<std::span<float>, 2> results{alone, fused};
    ASSERT_TRUE(session->run(given, results).ok());
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_EQ(std::isnan(alone[i]), i == 1) << activation_name(activation) << ", " << i;
      EXPECT_EQ(std::isnan(fused[i]), i % 3 == 1) << activation_name(activation) << ", " << i;
    }
  }
}

}  // namespace
}  // namespace caldera::test
