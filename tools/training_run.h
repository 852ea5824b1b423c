// One training as a user sees it: a live line, a line an epoch, a table of steps, and the result.
#pragma once

#include "caldera/fit.h"

#include "tools/training_args.h"

namespace caldera::tool {

// What happened to the head on the way to the folder's classes.
struct HeadChange {
  bool replaced = false;
  std::string note;  // For the user, before the first step; may be empty.
};

// Trains, writes the output, prints the result; gives the exit code.
Result<int> run_training(const TrainingArgs& args, const Device& device, const Model& model,
                         const FolderSplit& data, const FitOptions& options,
                         const HeadChange& head);

}  // namespace caldera::tool
