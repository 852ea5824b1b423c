// `caldera profile`: where a network's time goes, by layer and by kernel. Two sessions take turns,
// one that times each dispatch and one that does not, so that what timing costs is known too.
#include "tools/profile.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/page.h"

namespace caldera::tool {

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  SizeArgs size;
  int repeat = 10;
  std::string report;
  std::string trace;
  bool json = false;
};

// The command that was given, less --json, --report and --trace.
std::string command_line(const Args& args) {
  std::string line = "caldera profile " + args.model.models.front();
  const auto add = [&](const std::string& option, const std::string& value) {
    line += " --" + option + (value.empty() ? "" : " " + value);
  };
  if (!args.model.architecture.empty()) add("arch", args.model.architecture);
  if (args.size.batch > 0) add("batch", std::to_string(args.size.batch));
  if (args.size.input_size > 0) add("input-size", std::to_string(args.size.input_size));
  if (args.device.precision != Precision::kFp32) {
    add("precision", std::string(precision_name(args.device.precision)));
  }
  if (args.device.no_fuse) add("no-fuse", "");
  add("repeat", std::to_string(args.repeat));
  return line;
}

// The median of each dispatch over the runs; they start one after another.
std::vector<DispatchTime> medians(const std::vector<std::vector<DispatchTime>>& runs) {
  std::vector<DispatchTime> result = runs.front();
  double start = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    std::vector<double> seconds;
    for (const auto& run : runs) seconds.push_back(run[i].seconds);
    result[i].seconds = summarize(std::move(seconds)).median;
    result[i].start = start;
    start += result[i].seconds;
  }
  return result;
}

void add_to(Part& part, const DispatchTime& dispatch) {
  ++part.dispatches;
  part.seconds += dispatch.seconds;
  part.multiply_adds += dispatch.multiply_adds;
  part.bytes += dispatch.bytes;
}

void take_together(const Session& session, Profile& profile) {
  const Graph& graph = session.graph();
  std::map<std::string, size_t, std::less<>> layers;
  std::map<std::string_view, Part> kernels;
  bool input_done = false;  // Layouts change before the first layer and after the last.
  for (const DispatchTime& dispatch : profile.dispatches) {
    const bool edge = dispatch.node == NodeId::kNone;
    input_done |= !edge;
    const Node* node = edge ? nullptr : &graph.node(dispatch.node);
    const std::string name = node ? node->name : input_done ? "output layout" : "input layout";
    const auto [at, is_new] = layers.emplace(name, profile.layers.size());
    if (is_new) {
      Part& layer = profile.layers.emplace_back();
      layer.name = name;
      const ValueId shown = node         ? node->output()
                            : input_done ? graph.outputs.front()
                                         : graph.inputs.front();
      layer.shape = graph.value(shown).shape;
      if (node) layer.op = op_name(node->kind());
    }
    Part& layer = profile.layers[at->second];
    if (layer.kernel.find(dispatch.shader) == std::string::npos) {
      layer.kernel += (layer.kernel.empty() ? "" : " + ") + std::string(dispatch.shader);
    }
    add_to(layer, dispatch);
    profile.layer_of.push_back(at->second);
    Part& kernel = kernels[dispatch.shader];
    kernel.name = dispatch.shader;
    add_to(kernel, dispatch);
  }
  for (auto& [name, kernel] : kernels) profile.kernels.push_back(std::move(kernel));
  std::stable_sort(profile.kernels.begin(), profile.kernels.end(),
                   [](const Part& a, const Part& b) { return a.seconds > b.seconds; });
}

Result<Profile> measure(Workload& work, const Args& args) {
  Profile profile{.repeat = args.repeat, .command = command_line(args)};
  CALDERA_TRY_ASSIGN(profile.peak, measure_peak(work.device));
  profile.peak_gflops = work.peak_gflops(profile.peak);
  SessionOptions options = args.device.session();
  CALDERA_TRY_ASSIGN(Session plain,
                     Session::create(work.device, work.graph, work.weights, options));
  options.profile = true;
  CALDERA_TRY_ASSIGN(Session timed,
                     Session::create(work.device, work.graph, work.weights, options));
  const std::span<const float> input = work.input.floats();
  CALDERA_TRY(plain.run(input, work.output));
  CALDERA_TRY(timed.run(input, work.output));
  std::vector<double> plain_seconds;
  std::vector<double> timed_seconds;
  std::vector<std::vector<DispatchTime>> runs;
  for (int i = 0; i < args.repeat; ++i) {
    CALDERA_TRY_ASSIGN(const double without, time_run(plain, input, work.output));
    CALDERA_TRY_ASSIGN(const double with, time_run(timed, input, work.output));
    plain_seconds.push_back(without);
    timed_seconds.push_back(with);
    CALDERA_TRY_ASSIGN(auto timeline, timed.timeline());
    runs.push_back(std::move(timeline));
  }
  profile.plain = summarize(std::move(plain_seconds));
  profile.timed = summarize(std::move(timed_seconds));
  profile.dispatches = medians(runs);
  take_together(timed, profile);
  return profile;
}

Result<int> run_profile(const Args& args) {
  if (!args.report.empty()) CALDERA_TRY(check_pages());
  CALDERA_TRY_ASSIGN(Workload work, make_workload(args.model, args.device, args.size));
  CALDERA_TRY_ASSIGN(const Profile profile, measure(work, args));
  if (!args.report.empty()) CALDERA_TRY(write_text(args.report, profile_page(work, profile)));
  if (!args.trace.empty()) {
    CALDERA_TRY(write_text(args.trace, profile_trace(work, profile).dump(1) + "\n"));
  }
  if (args.json) {
    print_json(profile_json(work, profile));
  } else {
    print_profile(work, profile);
  }
  return kExitDone;
}

}  // namespace

double Profile::device_seconds() const {
  double seconds = 0;
  for (const Part& layer : layers) seconds += layer.seconds;
  return seconds;
}

double Profile::roof_gflops(const Part& part) const {
  return std::min(peak_gflops, part.intensity() * peak.copy_gbps);
}

double Profile::share_of_roof(const Part& part) const {
  return part.multiply_adds > 0 ? part.gflops() / roof_gflops(part) : part.gbps() / peak.copy_gbps;
}

void add_profile(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "profile",
      "Show where a network's time goes, by layer and by kernel, and how near each comes to what\n"
      "the device can do: as tables, as a page with a roofline plot, as a trace.");
  add_model(*command, args->model);
  add_size_options(*command, args->size);
  add_repeat_option(*command, args->repeat, "Runs to take the medians of (10)", /*most=*/100'000);
  command->add_option("--report", args->report, "Draw it all, as one page for a browser")
      ->type_name("FILE.html");
  command->add_option("--trace", args->trace, "Every dispatch, for Perfetto or chrome://tracing")
      ->type_name("FILE.json");
  add_device_options(*command, args->device);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera profile resnet50\n"
      "  caldera profile resnet50.pth --batch 8 --report resnet50.html --trace resnet50.json");
  on_chosen(*command, action, args, run_profile);
}

}  // namespace caldera::tool
