// Measures every kernel variant that a graph's layers can run by, on this device, and keeps which
// is fastest: sessions made afterwards take it (SessionOptions::tuned).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "caldera/device.h"
#include "caldera/graph.h"
#include "caldera/result.h"
#include "caldera/session.h"

namespace caldera {

// One variant on one layer.
struct KernelTrial {
  std::string kernel;
  double seconds = 0;   // The least of its runs, on the device; 0 where it failed.
  double error = 0;     // Relative L2 against the CPU reference.
  std::string refusal;  // Why it is not taken; empty where it may be.
};

// A layer, and all others of the same problem.
struct LayerTuning {
  std::string layer;    // The first of them.
  int layers = 1;       // How many there are.
  std::string problem;  // Operator, shapes and attributes.
  std::string untuned;  // The kernel that is taken without tuning.
  std::string chosen;
  std::vector<KernelTrial> trials;
};

struct TuneReport {
  std::vector<LayerTuning> layers;
  // Whole runs, medians, taken in turns.
  double untuned_seconds = 0;
  double tuned_seconds = 0;
  // Whether the choices were kept: not where the tuned plan was the slower one.
  bool kept = false;
  // Why the verdict ends with this device, rather than lie on disk; empty where it does.
  std::string unsaved;
};

struct TuneOptions {
  SessionOptions session{};  // precision and fuse matter.
  // Layers whose problem was measured before on this device are passed over.
  bool only_missing = false;
  // Called before each layer: which, and of how many.
  std::function<void(const std::string& layer, int index, int count)> on_layer;
};

// Sessions made on this device from then on follow the verdict. It is kept in the device's
// cache_dir too, by device, driver and Caldera's version, where there is one. A variant whose
// results differ from the CPU reference's is refused: it is reported, and not taken again for that
// problem on that driver. Weights are only read for the whole runs. Takes seconds to minutes.
Result<TuneReport> tune(const Device& device, const Graph& graph, const Weights& weights,
                        const TuneOptions& options = {});

}  // namespace caldera
