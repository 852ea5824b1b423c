// A training run of PyTorch's, as reference_training.py wrote it: what to begin from, what to do,
// and what must come out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "caldera/architecture.h"
#include "caldera/targets.h"
#include "caldera/trainer.h"

namespace caldera::test {

struct ReferenceRun {
  Architecture architecture;
  int64_t batch = 0;
  Size2d size;
  int64_t parts = 1;  // That a batch is given in.
  float rate = 0;
  TrainerOptions options;
  TargetOptions targets;
  Weights weights;
  std::string trained;  // What the names of trained parameters begin with.

  // By step.
  std::vector<std::vector<float>> images;
  std::vector<std::vector<int32_t>> labels;
  std::vector<Weights> biases;  // To set before it: see the script.
  std::vector<double> losses;

  Weights gradients;  // Of the first step.
  Weights states;     // After the last.

  // Relative differences allowed.
  double loss_bound = 0;
  double gradient_bound = 0;
  double state_bound = 0;
};

// Whether CALDERA_REFERENCE_TRAINING names a folder that the script filled.
bool has_reference_runs();
ReferenceRun read_reference_run(const std::string& name);

}  // namespace caldera::test

// Started by hand, without CTest's fixture.
#define REQUIRE_RUNS()                        \
  if (!::caldera::test::has_reference_runs()) \
  CALDERA_SKIP_UNLESS_REQUIRED(               \
      "set CALDERA_REFERENCE_TRAINING to a folder that reference_training.py filled")
