// `caldera bench`: how fast a network runs here, and what share of the device that is.
#include <chrono>

#include <fmt/format.h>

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"
#include "tools/timed_run.h"

namespace caldera::tool {

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  SizeArgs size;
  int repeat = 20;
  bool json = false;
};

struct Bench {
  Timing timing;
  double first_run = 0;  // Seconds from the session's creation, with the device open, to a result.
  SessionStats stats;
};

Result<Bench> measure(Workload& work, const Args& args) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  CALDERA_TRY_ASSIGN(Session session,
                     Session::create(work.device, work.graph, work.weights, args.device.session()));
  CALDERA_TRY(session.run(work.input.floats(), work.output));
  const double first = std::chrono::duration<double>(Clock::now() - start).count();
  CALDERA_TRY_ASSIGN(const Timing timing, time_runs(session, work.input.floats(), work.output,
                                                    args.repeat, /*warm_up=*/true));
  return Bench{timing, first, session.stats()};
}

void print_bench(const Workload& work, const Bench& bench, const DevicePeak& peak, int repeat) {
  const Timing& timing = bench.timing;
  const double gflops = work.flops() / timing.median * 1e-9;
  const double most = work.peak_gflops(peak);
  Table table({{""}, {""}});
  table.add({"model", fmt::format("{}, {}, {}", work.arch, to_string(work.input.shape()),
                                  precision_name(work.precision))});
  table.add({"device", fmt::format("{}, {}", work.device.info().name, work.driver())});
  table.add(
      {"time", fmt::format("{}, the median of {} runs", human_seconds(timing.median), repeat)});
  table.add({"spread", fmt::format("{} at best, half within {} to {}, {} at worst",
                                   human_seconds(timing.min), human_seconds(timing.quartile1),
                                   human_seconds(timing.quartile3), human_seconds(timing.max))});
  table.add(
      {"speed", fmt::format("{:.1f} images/s", static_cast<double>(work.batch()) / timing.median)});
  table.add({"arithmetic", fmt::format("{:.1f} GFLOP/s, {:.1f}% of the {:.1f} that were measured "
                                       "here",
                                       gflops, 100 * gflops / most, most)});
  table.add({"first run", fmt::format("{}, from the weights on the host to the first result",
                                      human_seconds(bench.first_run))});
  table.add({"memory", fmt::format("{} of weights, {} of activations, {} of staging",
                                   human_bytes(bench.stats.weights_bytes),
                                   human_bytes(bench.stats.arena_bytes),
                                   human_bytes(bench.stats.staging_bytes))});
  table.add({"commands", fmt::format("{} dispatches of {} kernels, {} {}", bench.stats.dispatches,
                                     bench.stats.pipelines, bench.stats.submits,
                                     bench.stats.submits == 1 ? "submit" : "submits")});
  table.add({"limits", fmt::format("copies {:.1f} GB/s; a dispatch takes {}, a submit {}",
                                   peak.copy_gbps, human_seconds(peak.dispatch_seconds),
                                   human_seconds(peak.submit_seconds))});
  table.print();
}

Result<int> run_bench(const Args& args) {
  CALDERA_TRY_ASSIGN(Workload work, make_workload(args.model, args.device, args.size));
  // First, so that the first run finds the device as a program does that just opened it.
  CALDERA_TRY_ASSIGN(const Bench bench, measure(work, args));
  CALDERA_TRY_ASSIGN(const DevicePeak peak, measure_peak(work.device));
  if (args.json) {
    Json json = timing_json(work, bench.timing, peak);
    json["repeat"] = args.repeat;
    json["first_run_ms"] = bench.first_run * 1e3;
    json["arena_bytes"] = bench.stats.arena_bytes;
    json["weights_bytes"] = bench.stats.weights_bytes;
    json["staging_bytes"] = bench.stats.staging_bytes;
    json["dispatches"] = bench.stats.dispatches;
    json["pipelines"] = bench.stats.pipelines;
    json["submits"] = bench.stats.submits;
    print_json(json);
  } else {
    print_bench(work, bench, peak, args.repeat);
  }
  return kExitDone;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto args = std::make_shared<Args>();
  CLI::App* command = app.add_subcommand(
      "bench",
      "Time a network on a random input: the median and spread of runs, images and\n"
      "floating-point operations a second, and their share of what the device was just measured\n"
      "to do at best.");
  add_model(*command, args->model, "resnet50");
  add_size_options(*command, args->size);
  add_repeat_option(*command, args->repeat, "Timed runs, after two that are not (20)");
  add_device_options(*command, args->device);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera bench\n"
      "  caldera bench resnet18 --batch 8 --json");
  on_chosen(*command, action, args, run_bench);
}

}  // namespace caldera::tool
