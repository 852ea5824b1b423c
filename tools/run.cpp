// `caldera run`: raw tensors through a model, and how long that takes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "caldera/npy.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"
#include "tools/timed_run.h"

namespace caldera::tool {

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  std::string input;
  std::string output;
  SizeArgs size;
  int repeat = 0;
  bool json = false;
};

// After the results, which are written even so: they may show where it went wrong.
int exit_status(bool finite, Precision precision) {
  if (finite) return kExitDone;
  print_note(
      precision == Precision::kFp16
          ? "the logits hold NaN or infinity; fp16 ends at 65,504: try fp32"
          : "the logits hold NaN or infinity; `caldera verify` tells whether the network or this "
            "device is at fault");
  return kExitFailed;
}

Result<int> run_run(const Args& args) {
  using Clock = std::chrono::steady_clock;
  CALDERA_TRY_ASSIGN(const Model model, load_model(args.model));
  Tensor input;
  if (args.input.empty()) {
    input = make_input(model, args.size, args.model.seed);
  } else {
    CALDERA_TRY_ASSIGN(input, read_input(args.input, model.architecture().input_channels));
  }
  const Shape& shape = input.shape();
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.device));
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(shape[0], {static_cast<int32_t>(shape[2]),
                                                               static_cast<int32_t>(shape[3])}));
  const auto start = Clock::now();
  CALDERA_TRY_ASSIGN(Session session,
                     Session::create(device, graph, model.weights(), args.device.session()));
  const double setup = std::chrono::duration<double>(Clock::now() - start).count();
  const Shape& output_shape = graph.value(graph.outputs.front()).shape;
  std::vector<float> output(element_count(output_shape));

  // The first run warms caches up and is counted only where it is the only one.
  const int repeat = args.repeat > 0 ? args.repeat : args.input.empty() ? 10 : 1;
  CALDERA_TRY_ASSIGN(const Timing timing,
                     time_runs(session, input.floats(), output, repeat, /*warm_up=*/repeat > 1));
  const double rate = static_cast<double>(shape[0]) / timing.median;

  const bool finite =
      std::all_of(output.begin(), output.end(), [](float logit) { return std::isfinite(logit); });
  if (!args.output.empty()) {
    CALDERA_TRY(write_npy(args.output, Tensor::from_floats(output_shape, std::move(output))));
  }
  const SessionStats stats = session.stats();
  if (args.json) {
    print_json({{"model", model.architecture().full_name()},
                {"device", device.info().name},
                {"precision", precision_name(session.precision())},
                {"input_shape", shape},
                {"output_shape", output_shape},
                {"output", args.output.empty() ? Json(nullptr) : Json(args.output)},
                {"repeat", repeat},
                {"median_seconds", timing.median},
                {"min_seconds", timing.min},
                {"images_per_second", rate},
                {"setup_seconds", setup},
                {"weights_bytes", stats.weights_bytes},
                {"activation_bytes", stats.arena_bytes},
                {"dispatches", stats.dispatches}});
    return exit_status(finite, session.precision());
  }
  Table table({{""}, {""}});
  table.add({"model", model.architecture().full_name()});
  table.add({"device", device.info().name});
  table.add({"precision", std::string(precision_name(session.precision()))});
  table.add({"input", to_string(shape) + (args.input.empty() ? ", random" : ", " + args.input)});
  table.add({"output", to_string(output_shape) + (args.output.empty() ? "" : ", " + args.output)});
  table.add({"time", repeat == 1 ? human_seconds(timing.median) + ", the first run"
                                 : fmt::format("{}, the median of {} runs; {} at best",
                                               human_seconds(timing.median), repeat,
                                               human_seconds(timing.min))});
  table.add({"speed", fmt::format("{:.1f} images/s", rate)});
  table.add({"set-up", human_seconds(setup)});
  table.add(
      {"memory", fmt::format("{} of weights, {} of activations", human_bytes(stats.weights_bytes),
                             human_bytes(stats.arena_bytes))});
  table.print();
  return exit_status(finite, session.precision());
}

}  // namespace

void add_run(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "run",
      "Run raw tensors through a model: float32 [N, C, H, W] in, logits [N, classes] out. Without\n"
      "--input, a seeded random tensor is timed.");
  add_model(*command, args->model);
  Option* input =
      command->add_option("--input", args->input, "NumPy file of the input")->type_name("X.npy");
  command->add_option("--output", args->output, "NumPy file for the logits")->type_name("Y.npy");
  for (Option* size : add_size_options(*command, args->size)) size->excludes(input);
  add_repeat_option(*command, args->repeat, "Timed runs (10 of a random input, else 1)");
  add_device_options(*command, args->device);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera run resnet18 --batch 8\n"
      "  caldera run resnet50.pth --input x.npy --output logits.npy");
  on_chosen(*command, action, args, run_run);
}

}  // namespace caldera::tool
