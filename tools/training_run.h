// One training as a user sees it: a live line, a line an epoch, a table of steps, and the result.
#pragma once

#include "caldera/fit.h"

#include "tools/training_args.h"

namespace caldera::tool {

// Trains, writes the output, prints the result; gives the exit code.
Result<int> run_training(const TrainingArgs& args, const Device& device, const Model& model,
                         const FolderSplit& data, const FitOptions& options, bool new_head);

}  // namespace caldera::tool
