// Where a network's time goes: what `caldera profile` measures, and the ways in which it tells it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caldera/device_peak.h"
#include "caldera/session.h"

#include "tools/report.h"
#include "tools/timed_run.h"

namespace caldera::tool {

// Dispatches taken together: those of a layer, or those of a kernel.
struct Part {
  std::string name;
  std::string op;      // Of a layer; empty for changes of layout at the edges.
  std::string kernel;  // Of a layer: its shaders.
  Shape shape;         // Of a layer: its output.
  int dispatches = 0;
  double seconds = 0;
  int64_t multiply_adds = 0;
  uint64_t bytes = 0;

  double flops() const { return 2.0 * static_cast<double>(multiply_adds); }
  double gflops() const { return flops() / seconds * 1e-9; }
  double gbps() const { return static_cast<double>(bytes) / seconds * 1e-9; }
  // Floating-point operations a byte.
  double intensity() const { return flops() / static_cast<double>(bytes); }
};

struct Profile {
  Timing plain;                          // Of runs without timestamps, from the host.
  Timing timed;                          // With them.
  std::vector<DispatchTime> dispatches;  // Medians, each from the end of the one before.
  std::vector<Part> layers;              // In the order in which they run.
  std::vector<Part> kernels;             // The slowest first.
  std::vector<size_t> layer_of;          // By dispatch, into layers.
  DevicePeak peak;
  double peak_gflops = 0;  // In the precision that ran.
  int repeat = 0;
  std::string command;  // That would do the same again.

  // Of all dispatches, on the device.
  double device_seconds() const;
  // What timing cost: 0.01 is 1%.
  double overhead() const { return timed.median / plain.median - 1; }
  // What the device could do at most of such work: by arithmetic, or by moving its bytes.
  double roof_gflops(const Part& part) const;
  // Of what it could do at most. By the bytes alone, where there is no arithmetic.
  double share_of_roof(const Part& part) const;
};

void print_profile(const Workload& work, const Profile& profile);
// All of it: for --json, and for the page to draw.
Json profile_json(const Workload& work, const Profile& profile);
// Trace events as Chrome and Perfetto open them: one a dispatch.
Json profile_trace(const Workload& work, const Profile& profile);
std::string profile_page(const Workload& work, const Profile& profile);

}  // namespace caldera::tool
