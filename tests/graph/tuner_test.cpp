// Tuning on a device: what is measured is kept, read by later plans, and thrown away where it does
// not belong.
#include "caldera/tuner.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/autodiff.h"

#include "graph/problem_key.h"
#include "runtime/device_impl.h"
#include "runtime/tuning.h"
#include "tests/graph/random_operands.h"
#include "tests/graph/stored.h"
#include "tests/support/device.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// A folder that goes when the test does.
struct Scratch {
  fs::path path = fs::temp_directory_path() / ("caldera-tuner-" + std::to_string(::getpid()));
  Scratch() { fs::remove_all(path); }
  ~Scratch() { fs::remove_all(path); }
};

// Two layers of one problem and one of another.
Graph net() {
  GraphBuilder b;
  const Conv2dAttrs same{.padding = {1, 1}, .bias = true};
  ValueId x = b.input("x", {3, 16, 12, 12});
  x = b.conv2d("first", x, 16, {3, 3}, same);
  x = b.conv2d("second", x, 16, {3, 3}, same);
  b.output(b.conv2d("third", x, 24, {1, 1}));
  return std::move(b).finish().value();
}

class Tuner : public testing::Test {
 protected:
  Device open() {
    DeviceOptions options;
    options.cache_dir = scratch_.path;
    return Device::open(options).value();
  }

  Scratch scratch_;
  const Graph graph_ = net();
  const Weights weights_ = test::random_weights(graph_);
};

TEST_F(Tuner, MeasuresEachProblemOnceByEveryKernelAndKeepsTheFastest) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const Device device = open();
  const auto report = tune(device, graph_, weights_);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->layers.size(), 2u);
  EXPECT_EQ(report->layers[0].layer, "first");
  EXPECT_EQ(report->layers[0].layers, 2);
  EXPECT_EQ(report->layers[1].layer, "third");
  for (const LayerTuning& layer : report->layers) {
    EXPECT_GT(layer.trials.size(), 1u);
    const auto chosen = std::ranges::find(layer.trials, layer.chosen, &KernelTrial::kernel);
    ASSERT_NE(chosen, layer.trials.end());
    if (!report->kept) continue;  // Then what went untuned stands.
    for (const KernelTrial& trial : layer.trials) {
      EXPECT_THAT(trial.refusal, IsEmpty()) << trial.kernel;
      EXPECT_LE(trial.error, 1e-5) << trial.kernel;
      EXPECT_LE(chosen->seconds, trial.seconds) << trial.kernel;
    }
  }
  // A device opened later takes the choices.
  const auto session = Session::create(open(), graph_, weights_);
  ASSERT_TRUE(session.ok()) << session.error().message;
  EXPECT_EQ(session->kernels()[0], report->layers[0].chosen);
  EXPECT_EQ(session->kernels()[2], report->layers[1].chosen);
}

TEST_F(Tuner, MeasuresOnlyWhatIsMissingWhereAsked) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const Device device = open();
  ASSERT_TRUE(tune(device, graph_, weights_).ok());
  TuneOptions options;
  options.only_missing = true;
  const auto again = tune(device, graph_, weights_, options);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_THAT(again->layers, IsEmpty());
}

// A training step's weight gradients too, which are no node's output.
TEST_F(Tuner, MeasuresWeightGradientsByEveryKernel) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  GraphBuilder b;
  ValueId x = b.input("x", {5, 3, 9, 7});  // No whole number of the images that the CPU computes.
  x = b.conv2d("conv", x, 8, {3, 3}, {.stride = {2, 1}, .padding = {1, 1}});
  b.output(b.linear("head", b.flatten("flatten", x), 3));
  const Graph graph =
      test::stored(make_training_graph(std::move(b).finish().value(), {}).value().graph);
  const Device device = open();
  const auto report = tune(device, graph, test::random_weights(graph));
  ASSERT_TRUE(report.ok()) << report.error().message;
  int gradients = 0;
  for (const LayerTuning& layer : report->layers) {
    if (!layer.problem.starts_with("conv2d_weight_gradient")) continue;
    ++gradients;
    EXPECT_GT(layer.trials.size(), 1u);
    for (const KernelTrial& trial : layer.trials) {
      EXPECT_THAT(trial.refusal, IsEmpty()) << layer.problem << " by " << trial.kernel;
      EXPECT_GT(trial.error, 0) << trial.kernel;
      EXPECT_LE(trial.error, 1e-5) << trial.kernel;
    }
  }
  EXPECT_EQ(gradients, 2);
  TuneOptions options;
  options.only_missing = true;
  EXPECT_THAT(tune(device, graph, test::random_weights(graph), options)->layers, IsEmpty());
}

// A program that keeps nothing is tuned for as long as its device is open.
// Patterns name layers of the whole network, which a problem is not.
TEST_F(Tuner, MeasuresLayersInFullPrecisionByTheirOwnTolerance) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  TuneOptions options;
  options.session.precision = Precision::kFp16;
  options.session.full_precision = {"first"};
  const auto report = tune(open(), graph_, weights_, options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const LayerTuning& layer : report->layers) {
    const auto measured =
        std::ranges::count_if(layer.trials, [](const auto& t) { return t.refusal.empty(); });
    EXPECT_GT(measured, 1) << layer.layer;
  }
}

TEST_F(Tuner, CountsForTheOpenDeviceWhereNothingIsKept) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const Device device = Device::open().value();
  int reports = 0;
  SessionOptions options{.tune = true};
  std::string chosen;
  options.on_tuned = [&](const TuneReport& report) {
    ++reports;
    chosen = report.layers.at(0).chosen;
  };
  const auto tuned = Session::create(device, graph_, weights_, options);
  ASSERT_TRUE(tuned.ok()) << tuned.error().message;
  EXPECT_EQ(tuned->kernels()[0], chosen);
  EXPECT_EQ(Session::create(device, graph_, weights_).value().kernels()[0], chosen);
  const auto again = Session::create(device, graph_, weights_, options);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(reports, 1) << "nothing was left to measure";
}

TEST(TuningStore, WritesOverWhatTheFileHoldsByThen) {
  const Scratch scratch;
  const fs::path file = scratch.path / "tuning.json";
  const auto chosen = [](const std::string& problem, const std::string& kernel) {
    Tuning tuning;
    tuning.choose(problem, {kernel, 0.5});
    return tuning;
  };
  TuningStore one(file), other(file);
  ASSERT_TRUE(one.add(chosen("a", "k1")).ok());
  ASSERT_TRUE(other.add(chosen("b", "k2")).ok());
  ASSERT_TRUE(one.add(chosen("c", "k3")).ok());
  for (const Tuning& known : {one.read(), other.read(), TuningStore(file).read()}) {
    EXPECT_EQ(known.choice("a"), "k1");
    EXPECT_EQ(known.choice("b"), "k2");
    EXPECT_EQ(known.choice("c"), "k3");
  }
}

TEST(TuningStore, CountsForTheProcessWhereTheFileCannotBeWritten) {
  TuningStore store("/proc/no-such-folder/tuning.json");
  Tuning tuning;
  tuning.refuse("a", "k1");
  EXPECT_FALSE(store.add(tuning).ok());
  EXPECT_TRUE(store.read().refused("a", "k1"));
}

// What a session takes for the first layer where the tuning file says so.
TEST_F(Tuner, PlansFollowTheFileAndShunWhatItRefuses) {
  CALDERA_REQUIRE_DEVICE(validated);
  (void)validated;
  const Device device = open();
  const fs::path file = device.impl().measurements_file("tuning");
  const Graph plain = test::stored(graph_);
  const std::string problem = problem_key(plain, plain.nodes[0]);
  const auto first_kernel = [&](SessionOptions options) {
    return Session::create(device, graph_, weights_, options).value().kernels()[0];
  };
  const std::string untuned = first_kernel({});
  ASSERT_NE(untuned, "conv2d_direct");

  Tuning tuning;
  tuning.choose(problem, {"conv2d_direct", 1e-3});
  ASSERT_TRUE(tuning.write(file).ok());
  EXPECT_EQ(first_kernel({}), "conv2d_direct");
  EXPECT_EQ(first_kernel({.tuned = false}), untuned);

  tuning = {};
  tuning.refuse(problem, untuned);
  ASSERT_TRUE(tuning.write(file).ok());
  EXPECT_NE(first_kernel({}), untuned);
  EXPECT_NE(first_kernel({.tuned = false}), untuned);  // A wrong kernel is wrong untuned too.
}

TEST_F(Tuner, PassesOverAFileThatIsDamagedOrOfAnotherVersion) {
  const fs::path file = scratch_.path / "tuning.json";
  Tuning tuning;
  tuning.choose("a problem", {"a kernel", 0.5});
  ASSERT_TRUE(tuning.write(file).ok());
  EXPECT_EQ(Tuning::read(file).choice("a problem"), "a kernel");
  EXPECT_THAT(Tuning::read(file).choice("another"), IsEmpty());

  std::ifstream stream(file);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const auto with = [&](const std::string& contents) {
    std::ofstream(file) << contents;
    return Tuning::read(file).choice("a problem").empty();
  };
  EXPECT_TRUE(with(text.substr(0, text.size() / 2)));
  EXPECT_TRUE(with(""));
  EXPECT_TRUE(with("[1, 2]"));
  EXPECT_TRUE(with(R"({"format": 1, "version": "0.0.0", "choices": {"a problem": {}}})"));
  // Of the same version with other shaders.
  std::string other = text;
  const std::string_view key = "\"version\": \"";
  char& digit = other[other.find('"', other.find(key) + key.size()) - 1];
  digit = digit == '0' ? '1' : '0';
  EXPECT_TRUE(with(other));
  other = text;
  other.replace(other.find("\"a kernel\""), 10, "17");
  EXPECT_TRUE(with(other));
  EXPECT_FALSE(with(text));
  EXPECT_TRUE(Tuning::read(scratch_.path / "none").choice("a problem").empty());
}

TEST(ProblemKey, TellsApartWhateverAKernelCan) {
  const Graph graph = test::stored(net());
  std::set<std::string> keys;
  keys.insert(problem_key(graph, graph.nodes[0]));
  EXPECT_THAT(*keys.begin(), HasSubstr("conv2d f32 3x16x12x12 16x16x3x3"));
  keys.insert(problem_key(graph, graph.nodes[1]));  // The same problem.
  EXPECT_EQ(keys.size(), 1u);
  for (const Storage storage : {Storage::kF16, Storage::kBf16}) {
    const Graph other = test::stored(net(), storage);
    keys.insert(problem_key(other, other.nodes[0]));
  }
  keys.insert(problem_key(graph, graph.nodes[2]));
  const auto with = [&](auto edit) {
    Node node = graph.nodes[0];
    edit(std::get<Conv2dAttrs>(node.attrs));
    keys.insert(problem_key(graph, node));
  };
  with([](Conv2dAttrs& attrs) { attrs.stride = {2, 1}; });
  with([](Conv2dAttrs& attrs) { attrs.padding = {0, 1}; });
  with([](Conv2dAttrs& attrs) { attrs.dilation = {1, 2}; });
  with([](Conv2dAttrs& attrs) { attrs.groups = 2; });
  with([](Conv2dAttrs& attrs) { attrs.bias = false; });
  with([](Conv2dAttrs& attrs) { attrs.epilogue.residual = true; });
  with([](Conv2dAttrs& attrs) { attrs.epilogue.activation = Activation::kRelu; });
  EXPECT_EQ(keys.size(), 11u);
}

TEST(ProblemKey, TellsPoolsApartByTheirWindows) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 8, 12, 12});
  std::set<std::string> keys;
  const ValueId same = b.max_pool2d("3x3", x, {.kernel = {3, 3}, .padding = {1, 1}});
  b.output(b.max_pool2d("5x5", same, {.kernel = {5, 5}, .padding = {2, 2}}));
  b.output(b.avg_pool2d("mean", same, {.kernel = {3, 3}, .padding = {1, 1}}));
  b.output(b.avg_pool2d("of the inner", same,
                        {.kernel = {3, 3}, .padding = {1, 1}, .count_include_pad = false}));
  const Graph graph = test::stored(std::move(b).finish().value());
  for (const Node& node : graph.nodes) keys.insert(problem_key(graph, node));
  EXPECT_EQ(keys.size(), 4u);
}

TEST(ProblemKey, TellsRearrangementsApartByWhereTheyPut) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 8, 12, 12});
  b.output(b.pad("after", x, {.channels_after = 16}));
  b.output(b.pad("around", x, {.channels_before = 8, .channels_after = 8}));
  b.output(b.subsample("every second", x, {{2, 2}}));
  b.output(b.subsample("every third", x, {{3, 3}}));
  const Graph graph = test::stored(std::move(b).finish().value());
  std::set<std::string> keys;
  for (const Node& node : graph.nodes) keys.insert(problem_key(graph, node));
  EXPECT_EQ(keys.size(), 4u);
}

// Of an input and an output of the same sizes there are filters of several, each with its padding.
TEST(ProblemKey, TellsWeightGradientsApartByTheirFilters) {
  GraphBuilder b;
  ValueId x = b.input("x", {3, 16, 12, 12});
  x = b.conv2d("small", x, 16, {1, 1});
  x = b.conv2d("large", x, 16, {3, 3}, {.padding = {1, 1}});
  x = b.conv2d("wide", x, 16, {3, 3}, {.padding = {2, 2}, .dilation = {2, 2}});
  x = b.conv2d("grouped", x, 16, {3, 3}, {.padding = {1, 1}, .groups = 4});
  b.output(b.linear("head", b.flatten("flatten", x), 3));
  const Graph graph =
      test::stored(make_training_graph(std::move(b).finish().value(), {}).value().graph);
  std::set<std::string> keys;
  for (const Node& node : graph.nodes) {
    if (node.kind() != OpKind::kConv2dWeightGradient) continue;
    keys.insert(problem_key(graph, node));
  }
  EXPECT_EQ(keys.size(), 5u);
  EXPECT_THAT(keys, Contains("conv2d_weight_gradient f32 3x16x12x12 3x16x12x12 16x16x3x3 stride "
                             "1x1 padding 1x1 dilation 1x1 groups 1"));
}

}  // namespace
}  // namespace caldera
