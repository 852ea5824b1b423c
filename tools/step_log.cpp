// Writing and reading of the table; see step_log.h.
#include "tools/step_log.h"

#include <cinttypes>
#include <cstdio>
#include <optional>

#include <fmt/format.h>

namespace caldera::tool {

namespace {

constexpr std::string_view kColumns =
    "step,epoch,images,correct,loss,learning_rate,gradient_norm,seconds,waited,loss_scale,"
    "skipped\n";
// Of a line of before there was mixed precision.
constexpr std::string_view kUnscaled = ",1,0";

std::optional<StepRecord> read_line(const std::string& line) {
  StepRecord step;
  int skipped = 0;
  const int read = std::sscanf(
      line.c_str(), "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%lf,%lf,%lf,%lf,%lf,%lf,%d",
      &step.step, &step.epoch, &step.images, &step.correct, &step.loss, &step.learning_rate,
      &step.gradient_norm, &step.seconds, &step.waited, &step.loss_scale, &skipped);
  if (read != 11) return std::nullopt;
  --step.epoch;
  step.skipped = skipped != 0;
  return step;
}

}  // namespace

Status StepLog::open(const std::string& path, int64_t steps_done) {
  std::string kept(kColumns);
  if (steps_done > 0) {
    std::ifstream before(path);
    std::string line;
    std::getline(before, line);
    const bool older = line + "\n" != kColumns;
    while (std::getline(before, line)) {
      if (older) line += kUnscaled;
      const std::optional<StepRecord> step = read_line(line);
      if (!step || step->step > steps_done) continue;
      kept += line + "\n";
      before_.push_back(*step);
    }
  }
  path_ = path;
  file_.open(path, std::ios::trunc);
  file_ << kept << std::flush;
  return check();
}

Status StepLog::add(const StepRecord& step) {
  if (!file_.is_open()) return {};
  file_ << fmt::format("{},{},{},{},{:.9g},{:.9g},{:.9g},{:.6f},{:.6f},{:.9g},{}\n", step.step,
                       step.epoch + 1, step.images, step.correct, step.loss, step.learning_rate,
                       step.gradient_norm, step.seconds, step.waited, step.loss_scale,
                       step.skipped ? 1 : 0);
  file_.flush();
  return check();
}

Status StepLog::check() const {
  if (file_) return {};
  return Error{ErrorCode::kIo, fmt::format("{}: cannot be written; is the disk full?", path_)};
}

}  // namespace caldera::tool
