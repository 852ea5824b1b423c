// Learning rates by step against torch.optim.lr_scheduler.
#include "caldera/schedule.h"

#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

using ::testing::HasSubstr;

// As in write_schedules.py.
std::map<std::string, Schedule> cases() {
  const Schedule base{.kind = ScheduleKind::kConstant,
                      .learning_rate = 0.1,
                      .milestones = {},
                      .epochs = 5,
                      .steps_an_epoch = 8};
  std::map<std::string, Schedule> all;
  const auto add = [&](const std::string& name, ScheduleKind kind) -> Schedule& {
    Schedule& schedule = all[name] = base;
    schedule.kind = kind;
    return schedule;
  };
  add("constant", ScheduleKind::kConstant);
  Schedule& step = add("step", ScheduleKind::kStep);
  step.every = 2;
  step.gamma = 0.3;
  add("multi-step", ScheduleKind::kMultiStep).milestones = {1, 4};
  add("cosine", ScheduleKind::kCosine);
  add("cosine to minimum", ScheduleKind::kCosine).minimum = 0.02;
  add("one-cycle", ScheduleKind::kOneCycle);
  Schedule& cycle = add("one-cycle, other shape", ScheduleKind::kOneCycle);
  cycle.rise = 0.5;
  cycle.first_divisor = 10;
  cycle.last_divisor = 100;
  add("warm cosine", ScheduleKind::kCosine).warmup = 6;
  add("warm constant", ScheduleKind::kConstant).warmup = 6;
  return all;
}

TEST(LearningRate, IsPyTorchsAtEveryStep) {
  CALDERA_REQUIRE_PYTHON();
  const test::ScratchDir scratch;
  const std::string path = scratch / "schedules.txt";
  ASSERT_TRUE(test::run_script("write_schedules.py", {path}));
  std::map<std::string, Schedule> mine = cases();
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::string name = line.substr(0, line.find(':'));
    SCOPED_TRACE(name);
    ASSERT_TRUE(mine.contains(name));
    const Schedule schedule = mine.extract(name).mapped();
    std::istringstream rates(line.substr(line.find(':') + 1));
    int64_t step = 0;
    for (double wanted = 0; rates >> wanted; ++step) {
      ASSERT_NEAR(learning_rate(schedule, step), wanted, 1e-9) << "step " << step;
    }
    EXPECT_EQ(step, 40);
  }
  EXPECT_TRUE(mine.empty()) << mine.begin()->first;
}

TEST(LearningRate, WarmsUpEverySchedule) {
  for (const std::string& name : schedule_names()) {
    SCOPED_TRACE(name);
    Schedule schedule{.kind = find_schedule(name).value(), .milestones = {3}};
    schedule.epochs = 5;
    schedule.steps_an_epoch = 10;
    schedule.warmup = 4;
    const double top = learning_rate(schedule, 4);
    for (int64_t step = 0; step < 4; ++step) {
      EXPECT_DOUBLE_EQ(learning_rate(schedule, step), top * static_cast<double>(step + 1) / 5);
    }
  }
}

TEST(LearningRate, BeyondTheLastStepStaysAsItEnded) {
  for (const std::string& name : schedule_names()) {
    Schedule schedule{.kind = find_schedule(name).value(), .milestones = {1}};
    schedule.epochs = 3;
    schedule.steps_an_epoch = 7;
    EXPECT_EQ(learning_rate(schedule, 21), learning_rate(schedule, 20)) << name;
  }
}

TEST(LearningRate, IsFiniteForTheShortestRuns) {
  for (const std::string& name : schedule_names()) {
    for (const int64_t steps : {1, 2, 3}) {
      Schedule schedule{.kind = find_schedule(name).value(), .milestones = {1}};
      schedule.steps_an_epoch = steps;
      for (int64_t step = 0; step < steps; ++step) {
        const double rate = learning_rate(schedule, step);
        EXPECT_TRUE(rate >= 0 && rate <= schedule.learning_rate) << name << ": " << rate;
      }
    }
  }
}

TEST(Schedule, RefusesWhatCannotBeMeant) {
  EXPECT_TRUE(check_schedule({}).ok());
  EXPECT_THAT(find_schedule("cosin").error().message, HasSubstr("one-cycle"));
  const auto why = [](auto change) {
    Schedule schedule;
    change(schedule);
    const Status status = check_schedule(schedule);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_THAT(why([](Schedule& s) { s.learning_rate = -1; }), HasSubstr("learning rate of -1"));
  EXPECT_THAT(why([](Schedule& s) { s.warmup = -1; }), HasSubstr("warm-up"));
  EXPECT_THAT(why([](Schedule& s) { s.gamma = 0; }), HasSubstr("gamma"));
  EXPECT_THAT(why([](Schedule& s) { s.every = 0; }), HasSubstr("period"));
  EXPECT_THAT(why([](Schedule& s) { s.milestones = {-2}; }), HasSubstr("milestone"));
  EXPECT_THAT(why([](Schedule& s) { s.rise = 1; }), HasSubstr("rising"));
}

}  // namespace
}  // namespace caldera
