// Learning rates by step: pure functions of the optimizer's step, so that a resumed run needs no
// state of theirs. Each is torch.optim.lr_scheduler's of that name, stepped once an update.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

namespace caldera {

enum class ScheduleKind : uint8_t {
  kConstant,
  kStep,       // Times gamma every `every` epochs.
  kMultiStep,  // Times gamma at each milestone.
  kCosine,     // From the rate to `minimum`. Loshchilov and Hutter, arXiv 1608.03983.
  kOneCycle,   // Up to the rate and down again, by cosines. Smith and Topin, arXiv 1708.07120.
};

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double learning_rate = 0.01;
  // So many steps at first rise to it in equal parts, from 1 / (warmup + 1) of it. Cosine and
  // one-cycle span the steps that are left; epochs of the others count from the beginning.
  int64_t warmup = 0;
  double gamma = 0.1;
  double every = 30;               // Epochs.
  std::vector<double> milestones;  // Epochs, ascending.
  double minimum = 0;
  // One-cycle: the share of steps that rise, and how much lower the first and the last rate are
  // than the highest and the first.
  double rise = 0.3;
  double first_divisor = 25;
  double last_divisor = 1e4;

  int64_t epochs = 1;
  int64_t steps_an_epoch = 1;
};

// "constant", "step", "multi-step", "cosine", "one-cycle"
Result<ScheduleKind> find_schedule(std::string_view name);
std::string_view schedule_name(ScheduleKind kind);
std::vector<std::string> schedule_names();

// An error that names the first number that cannot be meant.
Status check_schedule(const Schedule& schedule);

// Of step 0, 1, ...; beyond the last, as the last. Precondition: the schedule passes its check.
double learning_rate(const Schedule& schedule, int64_t step);

}  // namespace caldera
