// The page of a training: its figures as JSON for tools/pages/training.js to draw.
#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "embedded/training_html.h"
#include "embedded/training_js.h"
#include "tools/arguments.h"
#include "tools/embedded_text.h"
#include "tools/page.h"
#include "tools/png.h"
#include "tools/step_costs.h"
#include "tools/training_report.h"

namespace caldera::tool {

namespace {

constexpr size_t kMostPoints = 600;    // A curve has; of more steps, means are shown.
constexpr int32_t kPictureSide = 144;  // At most, of a mistake's picture.

// Curves over the steps; x in epochs. A value that is not finite becomes null, a gap.
Json steps_json(const TrainingReport& report) {
  const std::vector<StepRecord>& steps = report.steps();
  const size_t bucket = std::max<size_t>(1, (steps.size() + kMostPoints - 1) / kMostPoints);
  Json curves{{"epoch", Json::array()},         {"loss", Json::array()},
              {"accuracy", Json::array()},      {"learning_rate", Json::array()},
              {"gradient_norm", Json::array()}, {"loss_scale", Json::array()},
              {"skipped", Json::array()},       {"bucket", bucket},
              {"count", steps.size()}};
  for (size_t begin = 0; begin < steps.size(); begin += bucket) {
    const size_t end = std::min(begin + bucket, steps.size());
    double loss = 0, rate = 0, norm = 0;
    int64_t images = 0, correct = 0, skipped = 0;
    for (size_t i = begin; i < end; ++i) {
      loss += steps[i].loss * static_cast<double>(steps[i].images);
      images += steps[i].images;
      correct += steps[i].correct;
      rate += steps[i].learning_rate;
      skipped += steps[i].skipped;
      if (!steps[i].skipped) norm += steps[i].gradient_norm;
    }
    const auto count = static_cast<double>(end - begin);
    const double all = static_cast<double>(std::max<int64_t>(images, 1));
    curves["epoch"].push_back(static_cast<double>(steps[end - 1].step) / report.steps_an_epoch());
    curves["loss"].push_back(loss / all);
    curves["accuracy"].push_back(static_cast<double>(correct) / all);
    curves["learning_rate"].push_back(rate / count);
    curves["gradient_norm"].push_back(norm / (count - static_cast<double>(skipped)));
    curves["loss_scale"].push_back(steps[end - 1].loss_scale);
    curves["skipped"].push_back(skipped);
  }
  return curves;
}

Json evaluation_json(const Evaluation& evaluation) {
  return {{"images", evaluation.images},
          {"correct", evaluation.correct},
          {"loss", evaluation.loss},
          {"accuracy", static_cast<double>(evaluation.correct) /
                           static_cast<double>(std::max<int64_t>(evaluation.images, 1))}};
}

Json epochs_json(const std::vector<EpochRecord>& epochs) {
  Json json = Json::array();
  for (const EpochRecord& epoch : epochs) {
    Json row{{"epoch", epoch.epoch + 1},
             {"images", epoch.images},
             {"loss", epoch.loss},
             {"accuracy", static_cast<double>(epoch.correct) /
                              static_cast<double>(std::max<int64_t>(epoch.images, 1))},
             {"best", epoch.best},
             {"seconds", epoch.seconds},
             {"waited", epoch.waited},
             {"validation_seconds", epoch.validation_seconds},
             {"skipped_steps", epoch.skipped_steps},
             {"validation", nullptr}};
    if (epoch.validation) row["validation"] = evaluation_json(*epoch.validation);
    json.push_back(std::move(row));
  }
  return json;
}

// The counts above zero: [true class, predicted class, count].
Json confusion_json(const Evaluation& evaluation, size_t classes) {
  Json cells = Json::array();
  for (size_t i = 0; i < evaluation.confusion.size(); ++i) {
    if (evaluation.confusion[i] > 0)
      cells.push_back({i / classes, i % classes, evaluation.confusion[i]});
  }
  return cells;
}

// The whole picture, not what preprocessing left of it. Null where it is gone since.
Json picture_json(const std::filesystem::path& path) {
  const Result<Image> image = read_image(path);
  if (!image.ok()) return nullptr;
  const int32_t longer = std::max(image->width, image->height);
  if (longer <= kPictureSide) return png_data_uri(*image);
  const auto side = [&](int32_t length) {
    return std::max<int32_t>(1, static_cast<int32_t>(int64_t{length} * kPictureSide / longer));
  };
  return png_data_uri(resize(*image, side(image->width), side(image->height)));
}

Json mistakes_json(const Evaluation& evaluation) {
  Json json = Json::array();
  for (const Mistake& mistake : evaluation.mistakes) {
    json.push_back(
        {{"file", (mistake.path.parent_path().filename() / mistake.path.filename()).string()},
         {"label", mistake.label},
         {"predicted", mistake.predicted},
         {"probability", mistake.probability},
         {"own_probability", std::exp(-mistake.loss)},
         {"loss", mistake.loss},
         {"picture", picture_json(mistake.path)}});
  }
  return json;
}

Json norms_json(const TrainingReport& report) {
  Json json = Json::array();
  if (report.epochs().empty() && report.state() == "running") return json;
  for (const LayerNorms& layer : report.norms()) {
    json.push_back({{"name", layer.name},
                    {"first", layer.first},
                    {"last", layer.last},
                    {"low", layer.low},
                    {"high", layer.high}});
  }
  return json;
}

Json layer_times_json(const std::vector<LayerTime>& times) {
  Json json = Json::array();
  for (const LayerTime& layer : times) {
    json.push_back({{"name", layer.name},
                    {"forward", layer.forward * 1e3},
                    {"backward", layer.backward * 1e3},
                    {"update", layer.update * 1e3}});
  }
  return json;
}

}  // namespace

std::string training_page(const TrainingReport& report) {
  const TrainingFacts& facts = report.facts();
  Json data{{"command", facts.command},
            {"data", facts.data},
            {"model", facts.model},
            {"classes", facts.classes},
            {"device", facts.device},
            {"driver", facts.driver},
            {"precision", training_precision_name(facts.precision)},
            {"batch", facts.batch},
            {"checkpointing", checkpointing_name(facts.checkpointing)},
            {"costs", step_costs_json(facts.costs)},
            {"training_images", facts.training_images},
            {"validation_images", facts.validation_images},
            {"all_epochs", facts.epochs},
            {"state", report.state()},
            {"first_step", report.first_step()},
            {"version", CALDERA_VERSION},
            {"before", nullptr},
            {"steps", steps_json(report)},
            {"epochs", epochs_json(report.epochs())},
            {"norms", norms_json(report)},
            {"layer_times", layer_times_json(facts.layer_times)},
            {"confusion", nullptr},
            {"mistakes", nullptr}};
  data["date"] =
      fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::chrono::system_clock::now()));
  if (report.before()) data["before"] = evaluation_json(*report.before());
  // Of epochs that an earlier run did, the counts alone are known.
  const Evaluation* latest = nullptr;
  int64_t after = 0;
  if (report.before() && !report.before()->confusion.empty()) latest = &*report.before();
  for (const EpochRecord& epoch : report.epochs()) {
    if (!epoch.validation || epoch.validation->confusion.empty()) continue;
    latest = &*epoch.validation;
    after = epoch.epoch + 1;
  }
  if (latest) {
    data["validated_epoch"] = after;
    data["confusion"] = confusion_json(*latest, facts.classes.size());
    data["mistakes"] = mistakes_json(*latest);
  }
  return make_page({.title = fmt::format("{} on {}", facts.model, facts.data),
                    .body = embedded_text(training_html_bytes),
                    .script = embedded_text(training_js_bytes),
                    .data = std::move(data)});
}

}  // namespace caldera::tool
