// Writing and reading of runs; see training_state.h. A file is not trusted: what it says is checked
// here, or where it is used.
#include "models/training/training_state.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace caldera {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadataKey = "caldera_training";
constexpr std::string_view kPrefix = "training.";
constexpr int64_t kFormatVersion = 1;

Json to_json(const EpochRecord& record) {
  Json json{{"epoch", record.epoch},
            {"images", record.images},
            {"correct", record.correct},
            {"loss", record.loss},
            {"best", record.best},
            {"seconds", record.seconds},
            {"waited", record.waited},
            {"validation_seconds", record.validation_seconds},
            {"skipped_steps", record.skipped_steps}};
  if (record.validation) {
    json["validation"] = {{"images", record.validation->images},
                          {"correct", record.validation->correct},
                          {"loss", record.validation->loss}};
  }
  return json;
}

// A number from 0, where get<int64_t>() would take any other kind too. Throws what nlohmann throws,
// as all that read JSON below do.
int64_t count_of(const Json& json) {
  const auto count = json.get_ref<const Json::number_unsigned_t&>();
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return static_cast<int64_t>(std::min(count, kMost));
}

// What only mixed precision needs: files older than that are all of fp32.
int64_t count_if_there(const Json& json, const char* name) {
  return json.contains(name) ? count_of(json[name]) : 0;
}

EpochRecord epoch_from_json(const Json& json) {
  EpochRecord record;
  record.epoch = count_of(json.at("epoch"));
  record.images = count_of(json.at("images"));
  record.correct = count_of(json.at("correct"));
  record.loss = json.at("loss").get<double>();
  record.best = json.at("best").get<bool>();
  record.seconds = json.at("seconds").get<double>();
  record.waited = json.at("waited").get<double>();
  record.validation_seconds = json.at("validation_seconds").get<double>();
  record.skipped_steps = count_if_there(json, "skipped_steps");
  if (json.contains("validation")) {
    const Json& validation = json["validation"];
    record.validation.emplace();
    record.validation->images = count_of(validation.at("images"));
    record.validation->correct = count_of(validation.at("correct"));
    record.validation->loss = validation.at("loss").get<double>();
  }
  return record;
}

std::string to_json(const TrainingState& state) {
  Json json{{"version", kFormatVersion},
            {"updates", state.updates},
            {"runs", state.runs},
            {"loss_scale", state.loss_scale},
            {"updates_at_scale", state.updates_at_scale},
            {"epoch", state.epoch},
            {"batch", state.batch},
            {"steps_an_epoch", state.steps_an_epoch},
            {"bad_samples", state.bad_samples},
            {"sums",
             {{"images", state.sums.images},
              {"correct", state.sums.correct},
              {"loss", state.sums.loss},
              {"seconds", state.sums.seconds},
              {"waited", state.sums.waited},
              {"skipped_steps", state.sums.skipped_steps}}},
            {"epochs", Json::array()},
            {"options", state.options}};
  for (const EpochRecord& record : state.epochs) json["epochs"].push_back(to_json(record));
  // Names of classes come from folders: what is not UTF-8 in them is replaced.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TrainingState state_from_json(const Json& json) {
  TrainingState state;
  state.updates = count_of(json.at("updates"));
  state.runs = count_of(json.at("runs"));
  state.loss_scale = json.value("loss_scale", 1.0f);
  state.updates_at_scale = count_if_there(json, "updates_at_scale");
  state.epoch = count_of(json.at("epoch"));
  state.batch = count_of(json.at("batch"));
  state.steps_an_epoch = count_of(json.at("steps_an_epoch"));
  for (const Json& sample : json.at("bad_samples")) state.bad_samples.push_back(count_of(sample));
  const Json& sums = json.at("sums");
  state.sums = {count_of(sums.at("images")),     count_of(sums.at("correct")),
                sums.at("loss").get<double>(),   sums.at("seconds").get<double>(),
                sums.at("waited").get<double>(), count_if_there(sums, "skipped_steps")};
  for (const Json& record : json.at("epochs")) state.epochs.push_back(epoch_from_json(record));
  state.options = json.at("options").get<RecordedOptions>();
  return state;
}

// Epochs in their order, of which one that was the best was validated.
bool epochs_agree(const TrainingState& state) {
  int64_t next = 0;
  return std::ranges::all_of(state.epochs, [&](const EpochRecord& record) {
    const auto& validation = record.validation;
    return record.epoch == next++ && record.correct <= record.images &&
           (validation ? validation->correct <= validation->images : !record.best);
  });
}

// Each step ran at least one batch, so sums of their counts cannot overflow.
bool steps_have_runs(const TrainingState& state) {
  int64_t left = state.runs - state.updates;
  const auto take = [&](int64_t skipped) { return (left -= skipped) >= 0; };
  return left >= 0 && take(state.sums.skipped_steps) &&
         std::all_of(state.epochs.begin(), state.epochs.end(),
                     [&](const EpochRecord& record) { return take(record.skipped_steps); });
}

Error invalid(const std::filesystem::path& path, std::string_view what) {
  return {ErrorCode::kInvalidInput, fmt::format("{}: {}", path.string(), what)};
}

Result<TrainingState> read_json(const std::filesystem::path& path, const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  try {
    if (const auto version = count_of(json.at("version")); version != kFormatVersion) {
      return Error{ErrorCode::kUnsupported,
                   fmt::format("{}: a training checkpoint of format {}, and this Caldera reads "
                               "format {}: go on with the Caldera that wrote it",
                               path.string(), version, kFormatVersion)};
    }
    TrainingState state = state_from_json(json);
    const bool sensible =
        std::ssize(state.epochs) == state.epoch && state.sums.correct <= state.sums.images &&
        state.updates_at_scale <= state.updates && epochs_agree(state) && steps_have_runs(state);
    if (!sensible) return invalid(path, "its training metadata is damaged: numbers that disagree");
    return state;
  } catch (const Json::exception& error) {
    return invalid(path, fmt::format("its training metadata is damaged: {}", error.what()));
  }
}

}  // namespace

int64_t TrainingState::skipped_steps() const {
  int64_t skipped = sums.skipped_steps;
  for (const EpochRecord& record : epochs) skipped += record.skipped_steps;
  return skipped;
}

Status save_training_state(const std::filesystem::path& path, const Model& model,
                           const TrainingState& state) {
  return detail::no_throw<Status>(path.string(), [&]() -> Status {
    CALDERA_TRY_ASSIGN(const Model current,
                       Model::from_weights(model.architecture(), model.preprocess(), model.labels(),
                                           state.weights));
    Checkpoint checkpoint = current.file();
    checkpoint.metadata.insert_or_assign(std::string(kMetadataKey), to_json(state));
    for (const auto& [name, tensor] : state.moments)
      checkpoint.tensors.push_back({std::string(kPrefix) + name, tensor});
    return write_safetensors(path, checkpoint);
  });
}

Result<TrainingState> load_training_state(const std::filesystem::path& path) {
  return detail::no_throw<Result<TrainingState>>(path.string(), [&]() -> Result<TrainingState> {
    CALDERA_TRY_ASSIGN(const Checkpoint checkpoint, read_checkpoint(path));
    const auto text = checkpoint.metadata.find(std::string(kMetadataKey));
    if (text == checkpoint.metadata.end()) {
      return invalid(path,
                     "no training can go on from it; name a last.safetensors that a training "
                     "wrote");
    }
    CALDERA_TRY_ASSIGN(TrainingState state, read_json(path, text->second));
    for (const auto& [name, tensor] : checkpoint.tensors) {
      if (name.starts_with(kPrefix)) {
        state.moments.emplace(name.substr(kPrefix.size()), tensor);
      } else {
        state.weights.emplace(name, tensor);
      }
    }
    return state;
  });
}

}  // namespace caldera
