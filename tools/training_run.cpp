// Training on the terminal; see training_run.h.
#include "tools/training_run.h"

#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/page.h"
#include "tools/progress.h"
#include "tools/report.h"
#include "tools/step_costs.h"
#include "tools/step_log.h"
#include "tools/training_report.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

double share(int64_t part, int64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0;
}

std::string per_cent(int64_t part, int64_t all) {
  return fmt::format("{:.2f}%", 100 * share(part, all));
}

// Nothing, where every step was taken.
std::string skipped_text(int64_t steps) {
  if (steps == 0) return {};
  return fmt::format("  {} {} skipped", grouped(steps), steps == 1 ? "step" : "steps");
}

// What is shown while it runs.
class Display {
 public:
  explicit Display(int64_t epochs) : epochs_(epochs) {}

  void start(const FitObserver::Start& start) {
    first_step_ = start.step;
    if (start.before) {
      note(fmt::format("before training: {} right ({} of {})",
                       per_cent(start.before->correct, start.before->images),
                       grouped(start.before->correct), grouped(start.before->images)));
    }
    for (const EpochRecord& record : *start.done) show(record);
  }

  void show(const StepRecord& step) {
    if (step.epoch != epoch_) {
      epoch_ = step.epoch;
      images_ = correct_ = skipped_ = 0;
      loss_ = seconds_ = 0;
    }
    images_ += step.images;
    correct_ += step.correct;
    skipped_ += step.skipped;
    loss_ += step.loss * static_cast<double>(step.images);
    seconds_ += step.seconds;
    const auto now = Clock::now();
    if (!line_.on_terminal() || now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    const double elapsed = std::chrono::duration<double>(now - begin_).count();
    const double a_step = elapsed / static_cast<double>(step.step - first_step_);
    const double rate = seconds_ > 0 ? static_cast<double>(images_) / seconds_ : 0;
    line_.show(
        fmt::format("epoch {}/{}  step {}/{}  loss {:.4f}  {} right{}  {:.{}f} images/s  {} left",
                    step.epoch + 1, epochs_, step.step_in_epoch, step.steps_an_epoch,
                    loss_ / static_cast<double>(images_), per_cent(correct_, images_),
                    skipped_text(skipped_), rate, rate < 10 ? 1 : 0,
                    human_clock(a_step * static_cast<double>(step.steps - step.step))));
  }

  void show(const EpochRecord& record) {
    line_.clear();
    std::string text = fmt::format("epoch {}/{}  loss {:.4f}  {} right", record.epoch + 1, epochs_,
                                   record.loss, per_cent(record.correct, record.images));
    if (record.validation) {
      const Evaluation& validation = *record.validation;
      text +=
          fmt::format("  validation loss {:.4f}  {} right ({} of {}){}", validation.loss,
                      per_cent(validation.correct, validation.images), grouped(validation.correct),
                      grouped(validation.images), record.best ? ", the best" : "");
    }
    text += skipped_text(record.skipped_steps);
    fmt::print(stderr, "{}  {}\n", text, human_clock(record.seconds + record.validation_seconds));
  }

  void note(std::string_view text) {
    line_.clear();
    print_note(text);
  }
  void clear() { line_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;
  int64_t epochs_;
  int64_t first_step_ = 0;
  int64_t epoch_ = -1;
  int64_t images_ = 0, correct_ = 0, skipped_ = 0;
  double loss_ = 0, seconds_ = 0;
  LiveLine line_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point drawn_{};
};

Json to_json(const EpochRecord& record) {
  Json json{{"epoch", record.epoch + 1},
            {"images", record.images},
            {"correct", record.correct},
            {"loss", record.loss},
            {"accuracy", share(record.correct, record.images)},
            {"skipped_steps", record.skipped_steps},
            {"seconds", record.seconds + record.validation_seconds},
            {"validation", nullptr}};
  if (record.validation) {
    const Evaluation& validation = *record.validation;
    json["validation"] = {{"images", validation.images},
                          {"correct", validation.correct},
                          {"loss", validation.loss},
                          {"accuracy", share(validation.correct, validation.images)}};
  }
  return json;
}

struct Totals {
  int64_t images = 0;
  double seconds = 0;  // Of steps.
  double waited = 0;
};

Totals totals(const FitResult& result) {
  Totals all;
  for (const EpochRecord& record : result.epochs) {
    all.images += record.images;
    all.seconds += record.seconds;
    all.waited += record.waited;
  }
  return all;
}

std::string files_of(const TrainingArgs& args, const FitResult& result) {
  std::string files = last_checkpoint(args.checkpoints).string();
  if (result.best_epoch) files += ", " + best_checkpoint(args.checkpoints).string();
  return files;
}

void print_result(const TrainingArgs& args, const FitResult& result, const Device& device) {
  Table table({{""}, {""}});
  table.add({"output",
             fmt::format("{}: {}, {} classes", args.output, result.model.architecture().full_name(),
                         result.model.labels().size())});
  const EpochRecord& last = result.epochs.back();
  const auto validated = [](const EpochRecord& record) {
    return fmt::format("{} of {} right in validation after epoch {} ({})",
                       grouped(record.validation->correct), grouped(record.validation->images),
                       record.epoch + 1,
                       per_cent(record.validation->correct, record.validation->images));
  };
  table.add({"result", last.validation ? validated(last)
                                       : fmt::format("{} of the last epoch's images right",
                                                     per_cent(last.correct, last.images))});
  if (result.best_epoch && *result.best_epoch != last.epoch)
    table.add({"best", validated(result.epochs[static_cast<size_t>(*result.best_epoch)])});
  const Totals all = totals(result);
  table.add(
      {"speed",
       fmt::format("{:.1f} images/s; the device waited for images {:.0f}% of the time",
                   static_cast<double>(all.images) / all.seconds, 100 * all.waited / all.seconds)});
  if (result.skipped > 0)
    table.add({"skipped", fmt::format("{} that cannot be decoded", grouped(result.skipped))});
  std::string precision(training_precision_name(result.precision));
  if (result.precision == Precision::kFp16) {
    precision +=
        fmt::format("; {} of {} steps skipped, loss scale {:.9g}", grouped(result.skipped_steps),
                    grouped(result.steps), result.loss_scale);
  }
  table.add({"precision", std::move(precision)});
  table.add({"checkpoints", files_of(args, result)});
  if (!args.report.empty()) table.add({"report", (fs::path(args.report) / "report.html").string()});
  table.add({"device", device.info().name});
  table.print();
}

void print_as_json(const TrainingArgs& args, const FitResult& result, const Device& device,
                   bool new_head) {
  const Totals all = totals(result);
  Json epochs = Json::array();
  for (const EpochRecord& record : result.epochs) epochs.push_back(to_json(record));
  Json json{
      {"output", result.stopped ? Json(nullptr) : Json(args.output)},
      {"checkpoint", last_checkpoint(args.checkpoints).string()},
      {"best_checkpoint", nullptr},
      {"best_epoch", nullptr},
      {"stopped", result.stopped},
      {"model", result.model.architecture().full_name()},
      {"classes", result.model.labels()},
      {"new_head", new_head},
      {"precision", training_precision_name(result.precision)},
      {"steps", result.steps},
      {"skipped_steps", result.skipped_steps},
      {"loss_scale", result.loss_scale},
      {"skipped", result.skipped},
      {"images_per_second", all.seconds > 0 ? static_cast<double>(all.images) / all.seconds : 0},
      {"waited", all.seconds > 0 ? all.waited / all.seconds : 0},
      {"device", device.info().name},
      {"epochs", std::move(epochs)}};
  if (result.best_epoch) {
    json["best_epoch"] = *result.best_epoch + 1;
    json["best_checkpoint"] = best_checkpoint(args.checkpoints).string();
  }
  print_json(json);
}

// With a step timed by layer, on a trainer of its own that is gone when this returns.
Result<TrainingReport> begin_report(const TrainingArgs& args, const Device& device,
                                    const Model& model, const FolderSplit& data,
                                    const FitOptions& options) {
  CALDERA_TRY(check_pages());
  const int64_t batch = std::min<int64_t>(options.batch, std::ssize(data.train.samples));
  TrainingFacts facts{.command = args.command->line(),
                      .data = fs::absolute(fs::path(args.folder) / "").parent_path().filename(),
                      .model = model.architecture().full_name(),
                      .classes = model.labels(),
                      .device = device.info().name,
                      .driver = driver_text(device.info()),
                      .precision = supported_precision(device.info(), options.session.precision),
                      .epochs = options.epochs,
                      .batch = batch,
                      .training_images = std::ssize(data.train.samples),
                      .validation_images = std::ssize(data.validation.samples),
                      .checkpointing = options.spec.checkpointing,
                      .costs = {},
                      .layer_times = {}};
  CALDERA_TRY_ASSIGN(facts.costs,
                     plan_training(device, model, batch, std::ssize(data.train.samples), options));
  CALDERA_TRY_ASSIGN(facts.layer_times, time_step(device, model, options, batch));
  return TrainingReport::create(args.report, std::move(facts));
}

Status write_output(const TrainingArgs& args, const Model& model) {
  if (fs::path(args.output).extension() == ".safetensors") return model.save(args.output);
  return write_pytorch(args.output, model.checkpoint());
}

}  // namespace

Result<int> run_training(const TrainingArgs& args, const Device& device, const Model& model,
                         const FolderSplit& data, const FitOptions& options,
                         const HeadChange& head) {
  std::error_code error;
  fs::create_directories(args.checkpoints, error);
  if (error) {
    return usage_error(
        fmt::format("{}: this folder cannot be made: {}; name another by "
                    "--checkpoints",
                    args.checkpoints, error.message()));
  }
  const Interrupt interrupt;
  Display display(options.epochs);
  StepLog log;
  std::optional<TrainingReport> report;
  if (!args.report.empty()) {
    CALDERA_TRY_ASSIGN(report, begin_report(args, device, model, data, options));
  }
  Status logged;
  FitObserver observer;
  observer.on_start = [&](const FitObserver::Start& start) {
    if (!head.note.empty()) print_note(head.note);
    print_note("a step takes " + memory_text(start.stats, options.spec.checkpointing));
    display.start(start);
    if (!args.log.empty()) logged = log.open(args.log, start.step);
    if (report && logged.ok()) logged = report->start(start);
  };
  observer.on_step = [&](const StepRecord& step) {
    display.show(step);
    if (logged.ok()) logged = log.add(step);
    if (report && logged.ok()) logged = report->add(step);
  };
  observer.on_epoch = [&](const EpochRecord& record) {
    display.show(record);
    if (report && logged.ok()) logged = report->add(record);
  };
  observer.on_bad_image = [&](const Error& bad) { display.note("skipped: " + bad.message); };
  observer.stop = [&] { return Interrupt::requested() || !logged.ok(); };
  Result<FitResult> result = fit(device, model, data, options, observer);
  display.clear();
  if (!result.ok()) return result.error();
  CALDERA_TRY(logged);
  if (result->stopped) {
    if (report) CALDERA_TRY(report->finish(/*stopped=*/true));
    print_note(fmt::format("stopped after step {}; the same command with --resume {} goes on",
                           result->steps, last_checkpoint(args.checkpoints).string()));
    if (args.json) print_as_json(args, *result, device, head.replaced);
    return kExitInterrupted;
  }
  CALDERA_TRY(write_output(args, result->model));
  if (!args.optimizer_state.empty())
    CALDERA_TRY(write_pytorch_optimizer(args.optimizer_state, result->optimizer));
  if (report) CALDERA_TRY(report->finish(/*stopped=*/false));
  if (args.json) {
    print_as_json(args, *result, device, head.replaced);
  } else {
    print_result(args, *result, device);
  }
  return kExitDone;
}

}  // namespace caldera::tool
