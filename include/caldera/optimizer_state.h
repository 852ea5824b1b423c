// What an optimizer keeps of a training, as a file that PyTorch's optimizer of that name loads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "caldera/graph.h"
#include "caldera/result.h"

namespace caldera {

struct OptimizerState {
  OptimizerAttrs attrs{};
  bool decay_vectors = true;  // As TrainingSpec has it.
  double learning_rate = 0;   // Of the next step.
  int64_t updates = 0;
  std::vector<std::string> parameters;  // Those that are trained, in the network's order.
  Weights moments;                      // By state_name(), with the parameters' shapes.
};

// What torch.save(optimizer.state_dict(), path) would write, for an optimizer that was made of the
// trained parameters in the network's order:
//   {'state': {0: {'momentum_buffer': ...}, ...},
//    'param_groups': [{'lr': ..., 'params': [0, ...]}]}
// Where vectors are not decayed there are two groups: matrices first. A moving average of the
// weights has no place in it.
Status write_pytorch_optimizer(const std::filesystem::path& path, const OptimizerState& state);

}  // namespace caldera
