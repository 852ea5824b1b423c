// Gathering what a training tells, and the files of it; see training_report.h.
#include "tools/training_report.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "tools/command.h"
#include "tools/page.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

double share(int64_t part, int64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0;
}

std::string validation_columns(const std::optional<Evaluation>& validation) {
  if (!validation) return ",,,";
  return fmt::format("{},{},{:.9g},{:.6f}", validation->images, validation->correct,
                     validation->loss, share(validation->correct, validation->images));
}

// A row an epoch; before the first, what the model did then.
std::string epochs_csv(const std::vector<EpochRecord>& epochs,
                       const std::optional<Evaluation>& before) {
  std::string csv =
      "epoch,images,correct,loss,accuracy,validation_images,validation_correct,validation_loss,"
      "validation_accuracy,best,seconds,waited,validation_seconds,skipped_steps\n";
  if (before) csv += fmt::format("0,,,,,{},,,,,\n", validation_columns(before));
  for (const EpochRecord& epoch : epochs) {
    csv += fmt::format("{},{},{},{:.9g},{:.6f},{},{},{:.3f},{:.3f},{:.3f},{}\n", epoch.epoch + 1,
                       epoch.images, epoch.correct, epoch.loss, share(epoch.correct, epoch.images),
                       validation_columns(epoch.validation), epoch.best ? 1 : 0, epoch.seconds,
                       epoch.waited, epoch.validation_seconds, epoch.skipped_steps);
  }
  return csv;
}

std::vector<EventFile::Scalar> scalars_of(const StepRecord& step, bool mixed) {
  std::vector<EventFile::Scalar> scalars{
      {"loss/step", step.loss},
      {"accuracy/step", share(step.correct, step.images)},
      {"learning_rate", step.learning_rate},
      {"speed/images_per_second",
       step.seconds > 0 ? static_cast<double>(step.images) / step.seconds : 0}};
  if (!step.skipped) scalars.push_back({"gradient_norm/all", step.gradient_norm});
  if (mixed) scalars.push_back({"loss_scale", step.loss_scale});
  return scalars;
}

void append_validation(std::vector<EventFile::Scalar>& scalars, const Evaluation& validation) {
  scalars.push_back({"loss/validation", validation.loss});
  scalars.push_back({"accuracy/validation", share(validation.correct, validation.images)});
}

std::vector<EventFile::Scalar> scalars_of(const EpochRecord& epoch) {
  std::vector<EventFile::Scalar> scalars{{"loss/epoch", epoch.loss},
                                         {"accuracy/epoch", share(epoch.correct, epoch.images)}};
  if (epoch.validation) append_validation(scalars, *epoch.validation);
  return scalars;
}

}  // namespace

Result<TrainingReport> TrainingReport::create(const fs::path& folder, TrainingFacts facts) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    return usage_error(fmt::format("{}: this folder cannot be made: {}; name another by --report",
                                   folder.string(), error.message()));
  }
  return TrainingReport(folder, std::move(facts));
}

double TrainingReport::steps_an_epoch() const {
  return static_cast<double>(all_steps_) / static_cast<double>(std::max<int64_t>(facts_.epochs, 1));
}

Status TrainingReport::start(const FitObserver::Start& start) {
  CALDERA_TRY(log_.open(folder_ / "steps.csv", start.step));
  steps_ = log_.before();
  epochs_ = *start.done;
  first_step_ = start.step + 1;
  all_steps_ = start.steps;
  if (start.before) {
    before_ = *start.before;
  } else if (start.step > 0) {
    read_before();
  }

  std::map<std::string, size_t> places;
  for (const std::string& parameter : start.trained) {
    const std::string layer = parameter.substr(0, parameter.rfind('.'));
    const auto [place, is_new] = places.emplace(layer, norms_.size());
    if (is_new) norms_.push_back({.name = layer});
    layer_of_.push_back(place->second);
  }
  sums_.assign(norms_.size(), 0);

  // Of a run that goes on, the event file begins with what was there before.
  CALDERA_TRY(events_.create(folder_));
  if (before_) {
    std::vector<EventFile::Scalar> scalars;
    append_validation(scalars, *before_);
    events_.add(0, scalars);
  }
  size_t epoch = 0;
  for (const StepRecord& step : steps_) {
    events_.add(step.step, scalars_of(step, mixed()));
    const double end = static_cast<double>(epoch + 1) * steps_an_epoch();
    if (epoch < epochs_.size() && static_cast<double>(step.step) >= end)
      events_.add(step.step, scalars_of(epochs_[epoch++]));
  }
  return write();
}

// The row of epoch 0 in the table of the run that is gone on from.
void TrainingReport::read_before() {
  std::ifstream file(folder_ / "epochs.csv");
  Evaluation before;
  for (std::string line; std::getline(file, line);) {
    if (std::sscanf(line.c_str(), "0,,,,,%" SCNd64 ",%" SCNd64 ",%lf", &before.images,
                    &before.correct, &before.loss) == 3)
      before_ = before;
  }
}

void TrainingReport::add_norms(const StepRecord& step) {
  std::vector<double> squares(norms_.size(), 0);
  for (size_t i = 0; i < step.gradient_norms.size() && i < layer_of_.size(); ++i)
    squares[layer_of_[i]] += step.gradient_norms[i] * step.gradient_norms[i];
  for (size_t i = 0; i < norms_.size(); ++i) {
    const double norm = std::sqrt(squares[i]);
    LayerNorms& layer = norms_[i];
    const bool is_first = !first_epoch_done_ && summed_ == 0;
    layer.low = is_first ? norm : std::min(layer.low, norm);
    layer.high = is_first ? norm : std::max(layer.high, norm);
    sums_[i] += norm;
  }
  ++summed_;
}

void TrainingReport::end_norms() {
  if (summed_ == 0) return;
  for (size_t i = 0; i < norms_.size(); ++i) {
    norms_[i].last = sums_[i] / static_cast<double>(summed_);
    if (!first_epoch_done_) norms_[i].first = norms_[i].last;
    sums_[i] = 0;
  }
  summed_ = 0;
  first_epoch_done_ = true;
}

Status TrainingReport::add(const StepRecord& step) {
  if (!step.skipped) add_norms(step);
  steps_.push_back(step);
  steps_.back().gradient_norms = {};
  events_.add(step.step, scalars_of(step, mixed()));
  return log_.add(step);
}

Status TrainingReport::add(const EpochRecord& epoch) {
  end_norms();
  // Of the last validation alone they are shown, and 1,000 classes make them large.
  const auto forget = [](std::optional<Evaluation>& validation) {
    if (validation) validation->confusion = {}, validation->mistakes = {};
  };
  if (epoch.validation) forget(before_);
  if (epoch.validation && !epochs_.empty()) forget(epochs_.back().validation);
  epochs_.push_back(epoch);
  std::vector<EventFile::Scalar> scalars = scalars_of(epoch);
  for (const LayerNorms& layer : norms_)
    scalars.push_back({"gradient_norm/" + layer.name, layer.last});
  events_.add(steps_.empty() ? 0 : steps_.back().step, scalars);
  return write();
}

Status TrainingReport::finish(bool stopped) {
  end_norms();
  state_ = stopped ? "stopped" : "done";
  return write();
}

Status TrainingReport::write() {
  CALDERA_TRY(events_.flush());
  CALDERA_TRY(write_text_whole(folder_ / "epochs.csv", epochs_csv(epochs_, before_)));
  return write_text_whole(page(), training_page(*this));
}

}  // namespace caldera::tool
