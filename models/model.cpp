// Models from files and from nothing, and Caldera's own file: safetensors with one metadata entry
// "caldera", {"version": 1, "architecture": full name, "preprocess": {...}, "labels": [...]}.
// Whatever a file says is checked before it is believed.
#include "caldera/model.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>

namespace caldera {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadataKey = "caldera";
constexpr int64_t kFormatVersion = 1;

Error invalid(std::string message) {
  return {ErrorCode::kInvalidInput, std::move(message)};
}

// `error` with the file that it is about in front.
Error in_file(const std::filesystem::path& path, const Error& error) {
  return {error.code, fmt::format("{}: {}", path.string(), error.message)};
}

struct Metadata {
  std::string architecture;
  Preprocess preprocess;
  std::vector<std::string> labels;
};

// A training checkpoint is a model with more beside it (models/training/training_state.h).
void drop_training(Checkpoint& checkpoint) {
  if (checkpoint.metadata.erase("caldera_training") == 0) return;
  std::erase_if(checkpoint.tensors,
                [](const NamedTensor& named) { return named.name.starts_with("training."); });
}

// What the file says of itself; nothing where Caldera did not write it.
Result<std::optional<Metadata>> read_metadata(const Checkpoint& checkpoint) {
  const auto entry = checkpoint.metadata.find(std::string(kMetadataKey));
  if (entry == checkpoint.metadata.end()) return std::optional<Metadata>();
  const auto malformed = [](std::string_view what) {
    return invalid(fmt::format("its metadata '{}' is damaged: {}; convert the weights again",
                               kMetadataKey, what));
  };
  const Json json = Json::parse(entry->second, nullptr, false);
  if (!json.is_object()) return malformed("not a JSON object");
  const auto member = [&json](const char* key) -> const Json& {
    static const Json none;
    const auto found = json.find(key);
    return found == json.end() ? none : *found;
  };
  const Json& version = member("version");
  if (!version.is_number_integer()) return malformed("no version");
  if (version.get<int64_t>() != kFormatVersion) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("it is a Caldera model of format {}, and this Caldera reads format "
                             "{}: take a newer Caldera",
                             version.get<int64_t>(), kFormatVersion)};
  }
  Metadata metadata;
  if (!member("architecture").is_string()) return malformed("no architecture");
  metadata.architecture = member("architecture").get<std::string>();
  if (!member("preprocess").is_object()) return malformed("no preprocess");
  CALDERA_TRY_ASSIGN(metadata.preprocess, preprocess_from_json(member("preprocess").dump()));
  if (!member("labels").is_array()) return malformed("no labels");
  for (const Json& label : member("labels")) {
    if (!label.is_string()) return malformed("a label is no text");
    metadata.labels.push_back(label.get<std::string>());
  }
  return std::optional<Metadata>(std::move(metadata));
}

std::string write_metadata(const Model& model) {
  Json json;
  json["version"] = kFormatVersion;
  json["architecture"] = model.architecture().full_name();
  json["preprocess"] = Json::parse(to_json(model.preprocess()));
  json["labels"] = model.labels();
  // Labels come from any file: what is not UTF-8 in them is replaced.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The size of the classifier's output in the checkpoint, where the graph's own differs.
std::optional<int64_t> other_classes(const Graph& graph, const Checkpoint& checkpoint) {
  const Node& head = graph.nodes.back();
  const Value& weight = graph.value(head.inputs[1]);
  const Tensor* given = checkpoint.find(weight.name);
  if (!given || given->shape().size() != weight.shape.size()) return std::nullopt;
  if (given->shape()[1] != weight.shape[1] || given->shape()[0] == weight.shape[0] ||
      given->shape()[0] < 1)
    return std::nullopt;
  return given->shape()[0];
}

// Images of `size` are cut as the family's nets were trained: 224 of a shorter side of 256.
Result<Preprocess> default_preprocess(const Architecture& architecture) {
  if (architecture.family == Family::kCifarResNet) return find_preprocess("cifar10");
  CALDERA_TRY_ASSIGN(Preprocess preprocess, find_preprocess("imagenet"));
  const Size2d size = architecture.input;
  if (size == Size2d{preprocess.crop_height, preprocess.crop_width}) return preprocess;
  const double scale = static_cast<double>(preprocess.resize_shorter) / preprocess.crop_width;
  preprocess.name = "custom";
  preprocess.resize_shorter = static_cast<int32_t>(std::lround(std::max(size.h, size.w) * scale));
  preprocess.crop_height = size.h;
  preprocess.crop_width = size.w;
  return preprocess;
}

std::vector<std::string> default_labels(const Architecture& architecture) {
  if (architecture.family == Family::kCifarResNet && architecture.classes == 10) {
    return {"airplane", "automobile", "bird",  "cat",  "deer",
            "dog",      "frog",       "horse", "ship", "truck"};
  }
  std::vector<std::string> labels;
  for (int64_t i = 0; i < architecture.classes; ++i) labels.push_back(fmt::to_string(i));
  return labels;
}

Result<Architecture> choose_architecture(const Checkpoint& checkpoint, const std::string& named,
                                         const std::optional<Metadata>& metadata) {
  if (!named.empty()) return find_architecture(named);
  if (metadata) return find_architecture(metadata->architecture);
  return infer_architecture(checkpoint);
}

}  // namespace

Result<Model> Model::load(const std::filesystem::path& path, const ModelOptions& options) {
  return detail::no_throw<Result<Model>>(path.string(), [&]() -> Result<Model> {
    CALDERA_TRY_ASSIGN(Checkpoint file, read_checkpoint(path));
    drop_training(file);
    Result<std::optional<Metadata>> read = read_metadata(file);
    if (!read.ok()) return in_file(path, read.error());
    const std::optional<Metadata> metadata = *std::move(read);

    Model model;
    Result<Architecture> architecture = choose_architecture(file, options.architecture, metadata);
    // An unknown name is the caller's affair; whatever else is wrong, the file's.
    if (!architecture.ok() && !options.architecture.empty()) return architecture.error();
    if (!architecture.ok()) return in_file(path, architecture.error());
    model.architecture_ = *std::move(architecture);
    model.checkpoint_ = canonical_names(file, model.architecture_);

    CALDERA_TRY_ASSIGN(Graph graph, build_graph(model.architecture_, 1));
    // A head of another size is the checkpoint's right, unless the caller gave the classes.
    const bool classes_given = options.architecture.find("classes=") != std::string::npos;
    const auto classes = other_classes(graph, model.checkpoint_);
    if (classes && !classes_given) {
      model.architecture_.classes = *classes;
      CALDERA_TRY_ASSIGN(graph, build_graph(model.architecture_, 1));
    }
    Result<Weights> weights = bind_weights(graph, model.checkpoint_);
    if (!weights.ok()) {
      return in_file(path, {weights.error().code, fmt::format("{}: {}", model.architecture_.name,
                                                              weights.error().message)});
    }
    model.weights_ = *std::move(weights);

    if (!options.preprocess.empty()) {
      CALDERA_TRY_ASSIGN(model.preprocess_, find_preprocess(options.preprocess));
    } else if (metadata) {
      model.preprocess_ = metadata->preprocess;
    } else {
      CALDERA_TRY_ASSIGN(model.preprocess_, default_preprocess(model.architecture_));
    }

    const bool labels_given = !options.labels.empty();
    model.labels_ = labels_given ? options.labels
                    : metadata   ? metadata->labels
                                 : default_labels(model.architecture_);
    if (static_cast<int64_t>(model.labels_.size()) != model.architecture_.classes) {
      return invalid(
          fmt::format("{}: {} has {} classes, but {} {} labels: give one a class", path.string(),
                      model.architecture_.name, model.architecture_.classes,
                      labels_given ? "it was given" : "the file holds", model.labels_.size()));
    }
    return model;
  });
}

Result<Model> Model::initialized(std::string_view architecture, uint64_t seed, bool calibrated) {
  return detail::no_throw<Result<Model>>(architecture, [&]() -> Result<Model> {
    CALDERA_TRY_ASSIGN(const Architecture found, find_architecture(architecture));
    CALDERA_TRY_ASSIGN(const Graph graph, build_graph(found, 1));
    CALDERA_TRY_ASSIGN(const Preprocess preprocess, default_preprocess(found));
    Weights weights = initial_weights(graph, seed);
    if (calibrated) {
      // Small images tell the statistics well enough, and soon.
      const int32_t side = found.family == Family::kCifarResNet ? 16 : 64;
      const Size2d size{std::min(side, found.input.h), std::min(side, found.input.w)};
      CALDERA_TRY_ASSIGN(const Graph small, build_graph(found, 2, size));
      weights = calibrate_batch_norm(small, std::move(weights), seed);
    }
    return from_weights(found, preprocess, default_labels(found), weights);
  });
}

Result<Model> Model::create(std::string_view architecture, uint64_t seed) {
  return initialized(architecture, seed, /*calibrated=*/true);
}

Result<Model> Model::untrained(std::string_view architecture, uint64_t seed) {
  return initialized(architecture, seed, /*calibrated=*/false);
}

Result<Model> Model::from_weights(const Architecture& architecture, const Preprocess& preprocess,
                                  std::vector<std::string> labels, const Weights& weights) {
  return detail::no_throw<Result<Model>>(architecture.name, [&]() -> Result<Model> {
    Model model;
    model.architecture_ = architecture;
    model.preprocess_ = preprocess;
    model.labels_ = std::move(labels);
    if (static_cast<int64_t>(model.labels_.size()) != architecture.classes) {
      return invalid(fmt::format("{} has {} classes, but was given {} labels", architecture.name,
                                 architecture.classes, model.labels_.size()));
    }
    CALDERA_TRY_ASSIGN(const Graph graph, build_graph(architecture, 1));
    // In the order of PyTorch's state_dict, with the counters that it has beside running
    // statistics.
    constexpr std::string_view kLastState = "running_var";
    for (const Value& value : graph.values) {
      const auto weight = weights.find(value.name);
      if (weight == weights.end()) continue;
      model.checkpoint_.tensors.push_back({value.name, weight->second});
      if (!value.name.ends_with(kLastState)) continue;
      const std::string counter =
          value.name.substr(0, value.name.size() - kLastState.size()) + "num_batches_tracked";
      const auto count = weights.find(counter);
      model.checkpoint_.tensors.push_back(
          {counter,
           count != weights.end()
               ? count->second
               : Tensor::from_bytes(DType::kI64, {}, std::vector<std::byte>(sizeof(int64_t)))});
    }
    CALDERA_TRY_ASSIGN(model.weights_, bind_weights(graph, model.checkpoint_));
    return model;
  });
}

Size2d Model::input_size() const {
  if (preprocess_.crop_height > 0 && preprocess_.crop_width > 0)
    return {preprocess_.crop_height, preprocess_.crop_width};
  return architecture_.input;
}

Result<Session> Model::session(const Device& device, int64_t batch,
                               const SessionOptions& options) const {
  CALDERA_TRY_ASSIGN(const Graph network, graph(batch));
  return Session::create(device, network, weights_, options);
}

Status Model::save(const std::filesystem::path& path) const {
  return write_safetensors(path, file());
}

Checkpoint Model::file() const {
  Checkpoint checkpoint = checkpoint_;
  checkpoint.metadata.insert_or_assign(std::string(kMetadataKey), write_metadata(*this));
  checkpoint.metadata.emplace("format", "pt");  // Which Hugging Face's readers want to see.
  return checkpoint;
}

Result<std::vector<std::string>> read_labels(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    return invalid(
        fmt::format("{}: cannot be opened: give a text file of one label a line", path.string()));
  }
  std::vector<std::string> labels;
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    labels.push_back(std::move(line));
  }
  if (file.bad()) {
    return invalid(
        fmt::format("{}: cannot be read: give a text file of one label a line", path.string()));
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  if (labels.empty()) return invalid(fmt::format("{}: holds no labels", path.string()));
  return labels;
}

}  // namespace caldera
