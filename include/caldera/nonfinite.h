// Where a training step went wrong: the first value that is infinite or no number.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "caldera/autodiff.h"
#include "caldera/device.h"
#include "caldera/graph.h"
#include "caldera/result.h"
#include "caldera/session.h"

namespace caldera {

struct NonFinite {
  std::string layer;  // The node's name, or a parameter's, or "the images".
  std::string what;   // "its output", "its gradient", ...: where in it.
  bool nan = false;   // Else infinite.
};

// Runs one step of the training graph on the batch anew, keeping every activation, and looks
// through what goes in, then what each node makes, in the order in which they run. Nothing where
// all is finite. `forward`, `spec`: as the Trainer had them; images and targets: of the forward
// graph's batch. `loss_scale` and the precision in `options`: the step's, since halves end where
// floats go on.
Result<std::optional<NonFinite>> find_nonfinite(const Device& device, const Graph& forward,
                                                const TrainingSpec& spec, const Weights& weights,
                                                std::span<const float> images,
                                                std::span<const float> targets,
                                                SessionOptions options = {}, float loss_scale = 1);

}  // namespace caldera
