// `caldera bench` and `caldera profile`: their figures fit each other, the trace and the page hold
// what was measured, and the page opens in a browser with no network and nothing wrong.
#include <numeric>

#include <gmock/gmock.h>

#include "tests/support/paths.h"
#include "tests/tools/browser.h"
#include "tests/tools/program.h"

namespace caldera::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

// The sum of `key` over an array of objects.
double total(const nlohmann::json& parts, const std::string& key) {
  return std::accumulate(parts.begin(), parts.end(), 0.0, [&](double sum, const auto& part) {
    return sum + part[key].template get<double>();
  });
}

TEST(Bench, PrintsItsResultWithStableKeys) {
  const Outcome outcome =
      run_program({"bench", "cifar_resnet20", "--batch", "2", "--repeat", "3", "--json"});
  const nlohmann::json json = expect_json(outcome);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(keys(json),
              IsSupersetOf({"arch", "batch", "precision", "device", "driver", "median_ms", "min_ms",
                            "images_per_second", "gflops", "peak_gflops", "arena_bytes",
                            "weights_bytes", "first_run_ms"}));
  EXPECT_EQ(json["arch"], "cifar_resnet20");
  EXPECT_EQ(json["batch"], 2);
  EXPECT_EQ(json["precision"], "fp32");
  const double seconds = json["median_ms"].get<double>() * 1e-3;
  EXPECT_GT(seconds, 0);
  EXPECT_LE(json["min_ms"], json["median_ms"]);
  EXPECT_LE(json["median_ms"], json["max_ms"]);
  EXPECT_GE(json["first_run_ms"], json["min_ms"]);
  EXPECT_NEAR(json["images_per_second"].get<double>() * seconds, 2, 1e-6);
  // 40.55 M multiply-adds an image (caldera models).
  EXPECT_NEAR(json["gflops"].get<double>() * seconds, 2 * 2 * 0.04055, 1e-3);
  EXPECT_GT(json["peak_gflops"], 0.0);
}

TEST(Bench, TellsTheSameInWords) {
  const Outcome outcome = run_program({"bench", "cifar_resnet20", "--repeat", "2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("cifar_resnet20, [1, 3, 32, 32], fp32"),
                                 HasSubstr("the median of 2 runs"), HasSubstr("images/s"),
                                 HasSubstr("% of the"), HasSubstr("to the first result")));
}

// Forward, backward and the update: the weights are packed anew, and all lie in states.
TEST(Bench, TimesTrainingStepsToo) {
  const std::vector<std::string> command{"bench", "cifar_resnet20", "--train", "--batch",
                                         "4",     "--repeat",       "2",       "--json"};
  const nlohmann::json training = expect_json(run_program(command));
  EXPECT_EQ(training["batch"], 4);
  EXPECT_GT(training["median_ms"], 0.0);
  // 0.27 M parameters, their gradients and momenta, each padded to 4 KiB.
  EXPECT_GE(training["states_bytes"], 3 * 4 * 270'000);
  EXPECT_GT(training["dispatches"], 100);
  EXPECT_EQ(training["checkpointing"], "none");
  std::vector<std::string> in_blocks = command;
  in_blocks.insert(in_blocks.end(), {"--checkpointing", "blocks"});
  const nlohmann::json again = expect_json(run_program(in_blocks));
  EXPECT_EQ(again["checkpointing"], "blocks");
  EXPECT_LT(again["arena_bytes"], training["arena_bytes"]);
  EXPECT_GT(again["dispatches"], training["dispatches"]);
}

// Training calls it mixed, since only what is stored and multiplied is of halves.
TEST(Bench, TimesTrainingInMixedPrecision) {
  const bool halves = expect_json(run_program({"devices", "--json"}))["devices"][0]["fp16"];
  for (const std::string name : {"mixed", "fp16"}) {
    const Outcome outcome = run_program({"bench", "cifar_resnet20", "--train", "--precision", name,
                                         "--repeat", "1", "--batch", "2", "--json"});
    EXPECT_EQ(expect_json(outcome)["precision"], halves ? "mixed" : "fp32");
    EXPECT_THAT(outcome.err, halves ? HasSubstr("") : HasSubstr("has no fp16, so fp32 is used"));
  }
}

struct Profiled {
  nlohmann::json json;
  nlohmann::json trace;
  std::string page;
};

// One run for all the tests of it.
const Profiled& profiled() {
  static const ScratchDir scratch;
  static const Profiled result = [] {
    const std::string trace = scratch / "trace.json";
    const std::string page = scratch / "page.html";
    const Outcome outcome = run_program({"profile", "cifar_resnet20", "--batch", "2", "--repeat",
                                         "5", "--trace", trace, "--report", page, "--json"});
    return Profiled{expect_json(outcome), nlohmann::json::parse(file_text(trace), nullptr, false),
                    page};
  }();
  return result;
}

TEST(Profile, GivesEveryLayerItsTimeAndWork) {
  const nlohmann::json& json = profiled().json;
  EXPECT_THAT(keys(json),
              IsSupersetOf({"arch", "device", "median_ms", "timed_median_ms", "overhead",
                            "device_ms", "peak_gflops", "copy_gbps", "layers", "kernels"}));
  ASSERT_GE(json["layers"].size(), 22u);
  EXPECT_EQ(json["layers"].front()["name"], "input layout");
  EXPECT_EQ(json["layers"][1]["name"], "conv1");
  EXPECT_EQ(json["layers"].back()["name"], "output layout");
  for (const nlohmann::json& layer : json["layers"]) {
    EXPECT_GT(layer["ms"], 0.0) << layer;
    EXPECT_GT(layer["bytes"], 0) << layer;
  }
  // 2 images x 16 channels x 32 x 32 x (3 channels x 3 x 3).
  EXPECT_EQ(json["layers"][1]["multiply_adds"], 2 * 16 * 32 * 32 * 27);
  EXPECT_NEAR(total(json["layers"], "share"), 1, 1e-9);
  EXPECT_NEAR(total(json["kernels"], "share"), 1, 1e-9);
  EXPECT_EQ(total(json["layers"], "multiply_adds"), total(json["kernels"], "multiply_adds"));
  EXPECT_NEAR(total(json["layers"], "ms"), json["device_ms"], 1e-6);
}

TEST(Profile, TellsWhatTimingCosts) {
  const nlohmann::json& json = profiled().json;
  const double with = json["timed_median_ms"];
  const double without = json["median_ms"];
  EXPECT_NEAR(json["overhead"], with / without - 1, 1e-9);
}

TEST(Profile, TracesEveryDispatch) {
  const Profiled& profile = profiled();
  ASSERT_TRUE(profile.trace.is_object());
  double end = 0;
  double microseconds = 0;
  int events = 0;
  for (const nlohmann::json& event : profile.trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    ++events;
    EXPECT_THAT(keys(event["args"]),
                ::testing::UnorderedElementsAre("layer", "kernel", "multiply_adds", "bytes"));
    EXPECT_NEAR(event["ts"], end, 1e-3) << event;  // One after another, without gaps.
    end = event["ts"].get<double>() + event["dur"].get<double>();
    microseconds += event["dur"].get<double>();
  }
  EXPECT_EQ(events, total(profile.json["layers"], "dispatches"));
  // The run's time, less what the host does: on a loaded machine that may be a good part of it.
  const double run = profile.json["timed_median_ms"].get<double>() * 1e3;
  EXPECT_LT(microseconds, run * 1.5);
  EXPECT_GT(microseconds, run * 0.2);
}

TEST(Profile, PrintsLayersKernelsAndASummary) {
  const Outcome outcome = run_program({"profile", "cifar_resnet20", "--repeat", "2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\ninput layout"), HasSubstr("\nlayer1.0.conv1"),
                                 HasSubstr("\noutput layout"), HasSubstr("\npack_nchw"),
                                 HasSubstr("of roof"), HasSubstr("overhead")));
}

TEST(Profile, SaysWhereAReportCannotBeWritten) {
  const Outcome outcome =
      run_program({"profile", "cifar_resnet20", "--repeat", "1", "--report", "/"});
  EXPECT_NE(outcome.code, 0);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

// What no page may do that is to open anywhere: load something.
TEST(Report, LoadsNothingFromElsewhere) {
  expect_loads_nothing(file_text(profiled().page));
}

TEST(Report, OpensInABrowserWithEveryChartDrawn) {
  const Profiled& profile = profiled();
  const OpenedPage page = open_page(profile.page);
  if (page.dom.empty()) return;  // Skipped, or failed already.
  EXPECT_THAT(page.log, Not(HasSubstr("CONSOLE")));
  int computing = 0;
  for (const nlohmann::json& layer : profile.json["layers"]) {
    computing += layer["multiply_adds"] > 0 ? 1 : 0;
  }
  EXPECT_EQ(chart_points(page, "roofline"), computing);
  EXPECT_EQ(chart_points(page, "layers"), static_cast<int>(profile.json["layers"].size()));
  EXPECT_EQ(chart_points(page, "kernels"), static_cast<int>(profile.json["kernels"].size()));
  // And what stands around them.
  EXPECT_THAT(page.dom, AllOf(HasSubstr("caldera profile cifar_resnet20 --batch 2 --repeat 5"),
                              HasSubstr("<dd>2, input [2, 3, 32, 32]</dd>"),
                              HasSubstr("<td><span><span class=\"swatch\"")));
}

}  // namespace
}  // namespace caldera::test
