// What a training step takes by each choice of checkpointing, as `caldera inspect --train` and the
// report of a run tell it.
#pragma once

#include <string>
#include <vector>

#include "caldera/fit.h"
#include "caldera/model.h"
#include "caldera/trainer.h"

#include "tools/report.h"

namespace caldera::tool {

// Of SGD with momentum, all layers trained: as planned, so nothing is allocated or run.
Result<std::vector<StepCost>> plan_training(const Device& device, const Model& model, int64_t batch,
                                            const SessionOptions& session);
// The costs of a run's own steps on `images` images: what its epochs' last, smaller batch takes
// counts too.
Result<std::vector<StepCost>> plan_training(const Device& device, const Model& model, int64_t batch,
                                            int64_t images, const FitOptions& options);

void print_step_costs(const std::vector<StepCost>& costs);
Json step_costs_json(const std::vector<StepCost>& costs);
// "388.5 MiB of activations (checkpointing cheap), 294.1 MiB of parameters, gradients and moments"
std::string memory_text(const SessionStats& stats, Checkpointing checkpointing);

}  // namespace caldera::tool
