// `caldera tune`: measures kernels on a model's own layers, once a device and driver.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "caldera/autodiff.h"
#include "caldera/tuner.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/timed_run.h"
#include "tools/tuning_notes.h"

namespace caldera::tool {

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  SizeArgs size{.batch = 1};
  bool train = false;
  bool json = false;
};

const KernelTrial* trial_of(const LayerTuning& layer, const std::string& kernel) {
  const auto found = std::find_if(layer.trials.begin(), layer.trials.end(),
                                  [&](const KernelTrial& trial) { return trial.kernel == kernel; });
  return found == layer.trials.end() ? nullptr : &*found;
}

void print_table(const TuneReport& report) {
  using Align = Table::Align;
  Table table({{"layer"},
               {"layers", Align::kRight},
               {"fastest kernel"},
               {"time", Align::kRight},
               {"without tuning"},
               {"time", Align::kRight}});
  const auto time = [](const KernelTrial* trial) {
    return trial && trial->refusal.empty() ? human_seconds(trial->seconds) : std::string("-");
  };
  for (const LayerTuning& layer : report.layers) {
    const bool same = layer.chosen == layer.untuned;
    table.add({layer.layer, std::to_string(layer.layers), layer.chosen,
               time(trial_of(layer, layer.chosen)), same ? "the same" : layer.untuned,
               same ? "" : time(trial_of(layer, layer.untuned))});
  }
  table.print();
}

Json to_json(const LayerTuning& layer) {
  Json trials = Json::array();
  for (const KernelTrial& trial : layer.trials) {
    Json entry = {{"kernel", trial.kernel}};
    if (trial.refusal.empty()) {
      entry["seconds"] = trial.seconds;
      entry["error"] = trial.error;
    } else {
      entry["refusal"] = trial.refusal;
    }
    trials.push_back(std::move(entry));
  }
  return {{"layer", layer.layer},   {"layers", layer.layers},   {"problem", layer.problem},
          {"chosen", layer.chosen}, {"untuned", layer.untuned}, {"trials", std::move(trials)}};
}

Result<int> run_tune(const Args& args) {
  CALDERA_TRY(check_step_options(args.device, args.train));
  CALDERA_TRY_ASSIGN(const Model model, load_model(args.model));
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.device));
  if (args.device.no_cache) {
    return usage_error("--no-cache keeps nothing, and `caldera tune` is for what is kept");
  }
  if (cache_dir().empty()) {
    return usage_error("neither XDG_CACHE_HOME nor HOME says where to keep what is measured");
  }
  Size2d size = model.input_size();
  if (args.size.input_size > 0) size = {args.size.input_size, args.size.input_size};
  CALDERA_TRY_ASSIGN(Graph graph, model.graph(args.size.batch, size));
  if (args.train) {
    CALDERA_TRY_ASSIGN(TrainingGraph training, make_training_graph(graph, {}));
    graph = std::move(training.graph);
  }
  TuneOptions options;
  options.session = args.device.session();
  std::optional<Progress> progress;
  options.on_layer = [&](const std::string&, int index, int count) {
    if (!progress) progress.emplace(count, "layers");
    progress->update(index);
  };
  CALDERA_TRY_ASSIGN(const TuneReport report, tune(device, graph, model.weights(), options));
  if (progress) progress->finish();
  note_tuning(report);
  if (args.json) {
    Json layers = Json::array();
    for (const LayerTuning& layer : report.layers) layers.push_back(to_json(layer));
    print_json({{"model", model.architecture().full_name()},
                {"train", args.train},
                {"batch", args.size.batch},
                {"device", device.info().name},
                {"driver", device.info().driver_info},
                {"untuned_seconds", report.untuned_seconds},
                {"tuned_seconds", report.tuned_seconds},
                {"kept", report.kept},
                {"layers", std::move(layers)}});
    return kExitDone;
  }
  print_table(report);
  if (report.layers.empty()) {
    fmt::print("no layer has more than one kernel on this device\n");
    return kExitDone;
  }
  fmt::print("\n{} a run with these, {} without: {}\n", human_seconds(report.tuned_seconds),
             human_seconds(report.untuned_seconds),
             !report.kept             ? "not faster, so nothing changes"
             : report.unsaved.empty() ? "kept for every later run on this device and driver"
                                      : "not kept");
  return kExitDone;
}

}  // namespace

void add_tune(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "tune",
      "Measure every kernel on a model's own layers, check each against the CPU, and keep the\n"
      "fastest for later runs of any command on this device and driver.");
  add_model(*command, args->model);
  add_size_options(*command, args->size, "Images a run (1): each batch is tuned by itself");
  add_step_options(*command, args->device, args->train,
                   "The layers of a training step: forward, and both gradients of each");
  add_json_option(*command, args->json);
  command->footer(
      "Takes from seconds to minutes. What is kept lies beside the compiled pipelines, in\n"
      "$XDG_CACHE_HOME/caldera or ~/.cache/caldera.\n"
      "Example:\n"
      "  caldera tune resnet50.pth --batch 8\n"
      "  caldera tune cifar_resnet20 --batch 128 --train");
  on_chosen(*command, action, args, run_tune);
}

}  // namespace caldera::tool
