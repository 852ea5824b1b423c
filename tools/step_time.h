// Where the time of a training step goes, by layer of the network.
#pragma once

#include <string>
#include <vector>

#include "caldera/fit.h"

namespace caldera::tool {

struct LayerTime {
  std::string name;     // "layer1.0.conv1"; "optimizer", "loss" and what else has no layer.
  double forward = 0;   // Seconds.
  double backward = 0;  // Of both gradients: of its input and its parameters.
  double update = 0;    // Norms and the optimizer.
};

// Of the trainer that fit() makes of these options, for a graph of the model.
Result<TrainerOptions> trainer_options(const Graph& graph, const FitOptions& options);

// Of a step of a trainer of its own, which is run twice on random images; by first appearance.
Result<std::vector<LayerTime>> time_step(const Device& device, const Model& model,
                                         const FitOptions& options, int64_t batch);

}  // namespace caldera::tool
