// What `--report DIR` leaves of a training: report.html, a page of charts; steps.csv and
// epochs.csv; and an event file for TensorBoard. Steps are written as they are done, the rest at
// the end of each epoch, so that a run that is stopped or killed leaves a report too.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "caldera/fit.h"

#include "tools/event_file.h"
#include "tools/step_log.h"
#include "tools/step_time.h"

namespace caldera::tool {

// What is known before the first step.
struct TrainingFacts {
  std::string command;
  std::string data;  // The folder's name.
  std::string model;
  std::vector<std::string> classes;
  std::string device, driver;
  Precision precision = Precision::kFp32;  // kFp16: mixed.
  int64_t epochs = 0;
  int64_t batch = 0;
  int64_t training_images = 0;
  int64_t validation_images = 0;
  Checkpointing checkpointing = Checkpointing::kNone;
  std::vector<StepCost> costs;  // Of a step, by each checkpointing.
  std::vector<LayerTime> layer_times;
};

// Of a layer's gradients, over the steps of this run.
struct LayerNorms {
  std::string name;
  double first = 0, last = 0;  // The mean over the first and the last epoch.
  double low = 0, high = 0;    // Of any step.
};

class TrainingReport {
 public:
  // Makes the folder, where it is not there.
  static Result<TrainingReport> create(const std::filesystem::path& folder, TrainingFacts facts);

  Status start(const FitObserver::Start& start);
  Status add(const StepRecord& step);
  Status add(const EpochRecord& epoch);
  // Writes the page a last time.
  Status finish(bool stopped);

  std::filesystem::path page() const { return folder_ / "report.html"; }

  // For the page.
  const TrainingFacts& facts() const { return facts_; }
  const std::vector<StepRecord>& steps() const { return steps_; }
  const std::vector<EpochRecord>& epochs() const { return epochs_; }
  const std::optional<Evaluation>& before() const { return before_; }
  const std::vector<LayerNorms>& norms() const { return norms_; }
  int64_t first_step() const { return first_step_; }
  double steps_an_epoch() const;
  // "running", "stopped" or "done".
  const std::string& state() const { return state_; }
  bool mixed() const { return facts_.precision == Precision::kFp16; }

 private:
  TrainingReport(std::filesystem::path folder, TrainingFacts facts)
      : folder_(std::move(folder)), facts_(std::move(facts)) {}
  void add_norms(const StepRecord& step);
  void end_norms();
  void read_before();
  Status write();

  std::filesystem::path folder_;
  TrainingFacts facts_;
  StepLog log_;
  EventFile events_;
  std::vector<StepRecord> steps_;  // Without gradient_norms.
  std::vector<EpochRecord> epochs_;
  std::optional<Evaluation> before_;
  int64_t first_step_ = 0;  // Of this run; from 1.
  int64_t all_steps_ = 0;
  std::string state_ = "running";

  std::vector<size_t> layer_of_;  // By trained parameter, into norms_.
  std::vector<LayerNorms> norms_;
  std::vector<double> sums_;  // By layer, over the steps of an epoch.
  int64_t summed_ = 0;
  bool first_epoch_done_ = false;
};

// The page of a report (tools/training_page.cpp).
std::string training_page(const TrainingReport& report);

}  // namespace caldera::tool
