// Writing and reading of the table; see step_log.h.
#include "tools/step_log.h"

#include <cinttypes>
#include <cstdio>
#include <optional>

#include <fmt/format.h>

namespace caldera::tool {

namespace {

constexpr std::string_view kColumns =
    "step,epoch,images,correct,loss,learning_rate,gradient_norm,seconds,waited\n";

std::optional<StepRecord> read_line(const std::string& line) {
  StepRecord step;
  const int read = std::sscanf(
      line.c_str(), "%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%" SCNd64 ",%lf,%lf,%lf,%lf,%lf",
      &step.step, &step.epoch, &step.images, &step.correct, &step.loss, &step.learning_rate,
      &step.gradient_norm, &step.seconds, &step.waited);
  if (read != 9) return std::nullopt;
  --step.epoch;
  return step;
}

}  // namespace

Status StepLog::open(const std::string& path, int64_t steps_done) {
  std::string kept(kColumns);
  if (steps_done > 0) {
    std::ifstream before(path);
    std::string line;
    std::getline(before, line);
    while (std::getline(before, line)) {
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
  file_ << fmt::format("{},{},{},{},{:.9g},{:.9g},{:.9g},{:.6f},{:.6f}\n", step.step,
                       step.epoch + 1, step.images, step.correct, step.loss, step.learning_rate,
                       step.gradient_norm, step.seconds, step.waited);
  file_.flush();
  return check();
}

Status StepLog::check() const {
  if (file_) return {};
  return Error{ErrorCode::kIo, fmt::format("{}: cannot be written; is the disk full?", path_)};
}

}  // namespace caldera::tool
