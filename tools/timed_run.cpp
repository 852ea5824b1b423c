// Timing a network; see timed_run.h.
#include "tools/timed_run.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "tools/random_input.h"

namespace caldera::tool {

std::vector<Option*> add_size_options(Command& command, SizeArgs& args,
                                      const std::string& batch_help) {
  return {
      add_batch_option(command, args.batch, batch_help),
      command.add_option("--input-size", args.input_size, "Their height and width (the model's)")
          ->type_name("N")
          ->check(in_range(1, 8192))};
}

void add_repeat_option(Command& command, int& repeat, const std::string& help, int most) {
  command.add_option("--repeat", repeat, help)->type_name("N")->check(in_range(1, most));
}

Tensor make_input(const Model& model, const SizeArgs& size, uint64_t seed) {
  Size2d input = model.input_size();
  if (size.input_size > 0) input = {size.input_size, size.input_size};
  return random_input(
      {std::max<int64_t>(size.batch, 1), model.architecture().input_channels, input.h, input.w},
      seed);
}

Timing summarize(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  // Between the two nearest, where there is none at that place.
  const auto quantile = [&](double part) {
    const double place = part * static_cast<double>(seconds.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, seconds.size() - 1);
    return seconds[below] +
           (seconds[above] - seconds[below]) * (place - static_cast<double>(below));
  };
  return {seconds.front(), quantile(0.25), quantile(0.5), quantile(0.75), seconds.back()};
}

Result<double> time_run(Session& session, std::span<const float> input, std::span<float> output) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  CALDERA_TRY(session.run(input, output));
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Result<Timing> time_runs(Session& session, std::span<const float> input, std::span<float> output,
                         int repeat, bool warm_up) {
  if (warm_up) CALDERA_TRY(session.run(input, output));
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    CALDERA_TRY_ASSIGN(const double seconds, time_run(session, input, output));
    times.push_back(seconds);
  }
  return summarize(std::move(times));
}

std::string Workload::driver() const {
  return driver_text(device.info());
}

Result<Workload> make_workload(const ModelArgs& model_args, const DeviceArgs& device_args,
                               const SizeArgs& size) {
  CALDERA_TRY_ASSIGN(const Model model, load_model(model_args));
  Tensor input = make_input(model, size, model_args.seed);
  CALDERA_TRY_ASSIGN(Device device, open_device(device_args));
  const Shape& shape = input.shape();
  CALDERA_TRY_ASSIGN(Graph graph, model.graph(shape[0], {static_cast<int32_t>(shape[2]),
                                                         static_cast<int32_t>(shape[3])}));
  std::vector<float> output(element_count(graph.value(graph.outputs.front()).shape));
  const Precision precision = supported_precision(device.info(), device_args.precision);
  return Workload{model.architecture().full_name(),
                  std::move(device),
                  std::move(graph),
                  model.weights(),
                  std::move(input),
                  std::move(output),
                  precision};
}

Json timing_json(const Workload& workload, const Timing& timing, const DevicePeak& peak) {
  return {{"arch", workload.arch},
          {"batch", workload.batch()},
          {"input_shape", workload.input.shape()},
          {"precision", precision_name(workload.precision)},
          {"device", workload.device.info().name},
          {"driver", workload.driver()},
          {"median_ms", timing.median * 1e3},
          {"min_ms", timing.min * 1e3},
          {"quartile1_ms", timing.quartile1 * 1e3},
          {"quartile3_ms", timing.quartile3 * 1e3},
          {"max_ms", timing.max * 1e3},
          {"images_per_second", static_cast<double>(workload.batch()) / timing.median},
          {"gflops", workload.flops() / timing.median * 1e-9},
          {"peak_gflops", workload.peak_gflops(peak)},
          {"copy_gbps", peak.copy_gbps},
          {"dispatch_us", peak.dispatch_seconds * 1e6},
          {"submit_us", peak.submit_seconds * 1e6}};
}

}  // namespace caldera::tool
