// Each schedule in its closed form; see schedule.h.
#include "caldera/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace caldera {

namespace {

constexpr std::array<std::string_view, 5> kNames{"constant", "step", "multi-step", "cosine",
                                                 "one-cycle"};

// From `first` at 0 to `last` at 1.
double cosine(double first, double last, double part) {
  return last + (first - last) * (1 + std::cos(std::numbers::pi * part)) / 2;
}

double one_cycle(const Schedule& schedule, double step, double steps) {
  const double highest = schedule.learning_rate;
  const double first = highest / schedule.first_divisor;
  const double top = schedule.rise * steps - 1;
  if (step <= top) return cosine(first, highest, top > 0 ? step / top : 1);
  const double down = steps - 1 - top;
  return cosine(highest, first / schedule.last_divisor, down > 0 ? (step - top) / down : 1);
}

double after_warmup(const Schedule& schedule, int64_t step) {
  const int64_t steps = schedule.epochs * schedule.steps_an_epoch;
  const auto in_steps = [&](double epochs) {
    return std::max<int64_t>(1,
                             std::llround(epochs * static_cast<double>(schedule.steps_an_epoch)));
  };
  const auto left = static_cast<double>(std::max<int64_t>(1, steps - schedule.warmup));
  const double since = std::min(static_cast<double>(step - schedule.warmup), left);
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      break;
    case ScheduleKind::kStep:
      return schedule.learning_rate *
             std::pow(schedule.gamma, static_cast<double>(step / in_steps(schedule.every)));
    case ScheduleKind::kMultiStep: {
      const auto passed =
          std::count_if(schedule.milestones.begin(), schedule.milestones.end(),
                        [&](double milestone) { return step >= in_steps(milestone); });
      return schedule.learning_rate * std::pow(schedule.gamma, static_cast<double>(passed));
    }
    case ScheduleKind::kCosine:
      return cosine(schedule.learning_rate, schedule.minimum, since / left);
    case ScheduleKind::kOneCycle:
      return one_cycle(schedule, std::min(since, left - 1), left);
  }
  return schedule.learning_rate;
}

}  // namespace

std::string_view schedule_name(ScheduleKind kind) {
  return kNames[static_cast<size_t>(kind)];
}

std::vector<std::string> schedule_names() {
  return {kNames.begin(), kNames.end()};
}

Result<ScheduleKind> find_schedule(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found != kNames.end()) return static_cast<ScheduleKind>(found - kNames.begin());
  return Error{ErrorCode::kInvalidInput,
               fmt::format("no schedule '{}'; there are {}", name, fmt::join(kNames, ", "))};
}

Status check_schedule(const Schedule& schedule) {
  const auto refuse = [](std::string_view what, double value, std::string_view rule) -> Status {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("schedule: {} of {}; it must be {}", what, value, rule)};
  };
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!finite(schedule.learning_rate) || schedule.learning_rate < 0)
    return refuse("a learning rate", schedule.learning_rate, "0 or more");
  if (schedule.warmup < 0)
    return refuse("a warm-up", static_cast<double>(schedule.warmup), "0 steps or more");
  if (!finite(schedule.gamma) || schedule.gamma <= 0)
    return refuse("a gamma", schedule.gamma, "above 0");
  if (!finite(schedule.every) || schedule.every <= 0)
    return refuse("a period", schedule.every, "above 0 epochs");
  if (!finite(schedule.minimum) || schedule.minimum < 0)
    return refuse("a minimum", schedule.minimum, "0 or more");
  if (!(schedule.rise > 0 && schedule.rise < 1))
    return refuse("a rising share", schedule.rise, "between 0 and 1");
  if (!(schedule.first_divisor >= 1) || !(schedule.last_divisor >= 1))
    return refuse("a divisor", std::min(schedule.first_divisor, schedule.last_divisor),
                  "1 or more");
  for (const double milestone : schedule.milestones) {
    if (!finite(milestone) || milestone <= 0)
      return refuse("a milestone", milestone, "above 0 epochs");
  }
  if (schedule.epochs < 1 || schedule.steps_an_epoch < 1)
    return refuse("a number of steps",
                  static_cast<double>(std::min(schedule.epochs, schedule.steps_an_epoch)),
                  "1 or more");
  return {};
}

double learning_rate(const Schedule& schedule, int64_t step) {
  const int64_t last = schedule.epochs * schedule.steps_an_epoch - 1;
  const int64_t at = std::clamp<int64_t>(step, 0, std::max<int64_t>(last, 0));
  if (at >= schedule.warmup) return after_warmup(schedule, at);
  return after_warmup(schedule, schedule.warmup) * static_cast<double>(at + 1) /
         static_cast<double>(schedule.warmup + 1);
}

}  // namespace caldera
