// `caldera bench`: how fast a network runs here, and what share of the device that is.
#include <chrono>

#include <fmt/format.h>

#include "caldera/trainer.h"

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
  bool train = false;
  Checkpointing checkpointing = Checkpointing::kNone;
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

// Steps of SGD with momentum and weight decay, forward, loss, backward and update, all layers
// trained and batch-norm in train mode. The workload's graph becomes what is run.
Result<Bench> measure_training(Workload& work, const Args& args) {
  using Clock = std::chrono::steady_clock;
  TrainerOptions options;
  options.spec.optimizer = {.momentum = 0.9f, .weight_decay = 1e-4f};
  options.spec.checkpointing = args.checkpointing;
  options.session = args.device.session();
  const Shape logits = work.graph.value(work.graph.outputs.front()).shape;
  std::vector<float> targets(work.output.size(), 0.0f);
  for (size_t n = 0; n < static_cast<size_t>(logits[0]); ++n) {
    const auto classes = static_cast<size_t>(logits[1]);
    targets[n * classes + n % classes] = 1 / static_cast<float>(logits[0]);
  }
  const auto step = [&](Trainer& trainer) -> Result<double> {
    constexpr float kRate = 1e-3f;
    const auto begin = Clock::now();
    CALDERA_TRY(trainer.step(work.input.floats(), targets, kRate));
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  const auto start = Clock::now();
  CALDERA_TRY_ASSIGN(Trainer trainer,
                     Trainer::create(work.device, work.graph, work.weights, options));
  CALDERA_TRY(step(trainer));
  const double first = std::chrono::duration<double>(Clock::now() - start).count();
  CALDERA_TRY(step(trainer));
  std::vector<double> times;
  for (int i = 0; i < args.repeat; ++i) {
    CALDERA_TRY_ASSIGN(const double seconds, step(trainer));
    times.push_back(seconds);
  }
  work.graph = trainer.session().graph();
  return Bench{summarize(std::move(times)), first, trainer.session().stats()};
}

void print_bench(const Workload& work, const Bench& bench, const DevicePeak& peak,
                 const Args& args) {
  const Timing& timing = bench.timing;
  const double gflops = work.flops() / timing.median * 1e-9;
  const double most = work.peak_gflops(peak);
  Table table({{""}, {""}});
  table.add(
      {"model", fmt::format("{}, {}, {}", work.arch, to_string(work.input.shape()),
                            args.train ? training_precision_name(work.precision)
                                       : precision_name(work.precision)) +
                    (args.train ? ", training steps" : "") +
                    (args.checkpointing != Checkpointing::kNone
                         ? fmt::format(", checkpointing {}", checkpointing_name(args.checkpointing))
                         : "")});
  table.add({"device", fmt::format("{}, {}", work.device.info().name, work.driver())});
  table.add({"time",
             fmt::format("{}, the median of {} runs", human_seconds(timing.median), args.repeat)});
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
  table.add({"memory", fmt::format("{} of weights, {}{} of activations, {} of staging",
                                   human_bytes(bench.stats.weights_bytes),
                                   args.train ? human_bytes(bench.stats.states_bytes) +
                                                    " of parameters, gradients and moments, "
                                              : "",
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
  CALDERA_TRY(check_step_options(args.device, args.train));
  CALDERA_TRY_ASSIGN(Workload work, make_workload(args.model, args.device, args.size));
  // First, so that the first run finds the device as a program does that just opened it.
  CALDERA_TRY_ASSIGN(const Bench bench,
                     args.train ? measure_training(work, args) : measure(work, args));
  CALDERA_TRY_ASSIGN(const DevicePeak peak, measure_peak(work.device));
  if (args.json) {
    Json json = timing_json(work, bench.timing, peak);
    if (args.train) json["precision"] = training_precision_name(work.precision);
    json["repeat"] = args.repeat;
    if (args.train) json["checkpointing"] = checkpointing_name(args.checkpointing);
    json["first_run_ms"] = bench.first_run * 1e3;
    json["arena_bytes"] = bench.stats.arena_bytes;
    json["weights_bytes"] = bench.stats.weights_bytes;
    json["states_bytes"] = bench.stats.states_bytes;
    json["staging_bytes"] = bench.stats.staging_bytes;
    json["dispatches"] = bench.stats.dispatches;
    json["pipelines"] = bench.stats.pipelines;
    json["submits"] = bench.stats.submits;
    print_json(json);
  } else {
    print_bench(work, bench, peak, args);
  }
  return kExitDone;
}

}  // namespace

void add_bench(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "bench",
      "Time a network on a random input: the median and spread of runs, images and\n"
      "floating-point operations a second, and their share of what the device was just measured\n"
      "to do at best.");
  add_model(*command, args->model, "resnet50");
  add_size_options(*command, args->size);
  add_repeat_option(*command, args->repeat, "Timed runs, after two that are not (20)");
  Option* train =
      add_step_options(*command, args->device, args->train,
                       "Time training steps: forward, loss, backward, SGD with momentum");
  add_checkpointing_option(*command, args->checkpointing)->needs(train);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera bench\n"
      "  caldera bench resnet18 --batch 8 --json\n"
      "  caldera bench cifar_resnet20 --batch 128 --train --checkpointing blocks");
  on_chosen(*command, action, args, run_bench);
}

}  // namespace caldera::tool
