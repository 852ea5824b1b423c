// Timing a network: what `run`, `bench` and `profile` share. A workload is a graph with a random
// or given input on a device; runs are timed from the host, the copies in and out included.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "caldera/device_peak.h"
#include "caldera/model.h"
#include "caldera/session.h"

#include "tools/arguments.h"
#include "tools/report.h"

namespace caldera::tool {

struct SizeArgs {
  int64_t batch = 0;       // 0: one image.
  int32_t input_size = 0;  // 0: the model's.
};

// --batch and --input-size. Both options, so that others may exclude them.
std::vector<Option*> add_size_options(
    Command& command, SizeArgs& args,
    const std::string& batch_help = "Images of the random input (1)");
// --repeat: how many runs, `most` at most. `help` says what for, and the default.
void add_repeat_option(Command& command, int& repeat, const std::string& help,
                       int most = 1'000'000);

// A seeded random input of that size.
Tensor make_input(const Model& model, const SizeArgs& size, uint64_t seed);

// Of several runs, in seconds.
struct Timing {
  double min = 0;
  double quartile1 = 0;
  double median = 0;
  double quartile3 = 0;
  double max = 0;
};
Timing summarize(std::vector<double> seconds);

// One run.
Result<double> time_run(Session& session, std::span<const float> input, std::span<float> output);
// `repeat` runs. The first run of a session warms caches up: `warm_up` makes one that is not
// counted.
Result<Timing> time_runs(Session& session, std::span<const float> input, std::span<float> output,
                         int repeat, bool warm_up);

// A network ready to be timed on a device.
struct Workload {
  std::string arch;
  Device device;
  Graph graph;
  Weights weights;
  Tensor input;
  std::vector<float> output;
  Precision precision = Precision::kFp32;  // That it runs in.

  int64_t batch() const { return input.shape()[0]; }
  // Of a run, a multiply-add counted as two.
  double flops() const { return 2.0 * static_cast<double>(multiply_adds(graph)); }
  // What the device can do at most in this precision.
  double peak_gflops(const DevicePeak& peak) const {
    return precision == Precision::kFp16 ? peak.gflops_fp16 : peak.gflops_fp32;
  }
  std::string driver() const;
};
Result<Workload> make_workload(const ModelArgs& model, const DeviceArgs& device,
                               const SizeArgs& size);

// The part of --json that `bench` and `profile` have in common.
Json timing_json(const Workload& workload, const Timing& timing, const DevicePeak& peak);

}  // namespace caldera::tool
