#include "tests/models/training/reference_run.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "caldera/checkpoint.h"
#include "caldera/npy.h"

namespace caldera::test {

namespace {

std::filesystem::path folder() {
  const char* given = std::getenv("CALDERA_REFERENCE_TRAINING");
  return given ? given : "";
}

Weights read_tensors(const std::filesystem::path& path) {
  Weights tensors;
  const Checkpoint checkpoint = read_checkpoint(path).value();
  for (const NamedTensor& named : checkpoint.tensors) {
    tensors.insert_or_assign(named.name, named.tensor.to_f32());
  }
  return tensors;
}

OptimizerAttrs optimizer_of(const nlohmann::json& entry) {
  OptimizerAttrs optimizer;
  const auto kind = entry["kind"].get<std::string>();
  optimizer.kind = kind == "sgd"     ? OptimizerKind::kSgd
                   : kind == "adamw" ? OptimizerKind::kAdamW
                                     : OptimizerKind::kAdam;
  optimizer.momentum = entry.value("momentum", 0.0f);
  optimizer.nesterov = entry.value("nesterov", false);
  optimizer.weight_decay = entry.value("weight_decay", 0.0f);
  optimizer.max_norm = entry.value("max_norm", 0.0f);
  return optimizer;
}

// "3.bn1.bias" -> "bn1.bias" of step 3.
std::vector<Weights> by_step(const Weights& biases, size_t steps) {
  std::vector<Weights> steps_biases(steps);
  for (const auto& [name, bias] : biases) {
    const size_t dot = name.find('.');
    steps_biases.at(std::stoul(name.substr(0, dot))).insert_or_assign(name.substr(dot + 1), bias);
  }
  return steps_biases;
}

}  // namespace

bool has_reference_runs() {
  return exists(folder() / "manifest.json");
}

ReferenceRun read_reference_run(const std::string& name) {
  std::ifstream file(folder() / "manifest.json");
  const nlohmann::json manifest = nlohmann::json::parse(file);
  const auto found = std::ranges::find_if(manifest["runs"],
                                          [&](const auto& entry) { return entry["name"] == name; });
  if (found == manifest["runs"].end()) throw std::runtime_error("no run named " + name);
  const nlohmann::json& entry = *found;
  const auto path = [&](const char* key) {
    return folder() / entry["files"][key].get<std::string>();
  };

  ReferenceRun run;
  run.architecture = find_architecture(entry["architecture"].get<std::string>()).value();
  run.batch = entry["batch"].get<int64_t>();
  run.size = {entry["size"].get<int32_t>(), entry["size"].get<int32_t>()};
  run.parts = entry["parts"].get<int64_t>();
  run.rate = entry["rate"].get<float>();
  run.options.spec.optimizer = optimizer_of(entry["optimizer"]);
  run.options.spec.batch_norm =
      entry["batch_norm"] == "frozen" ? BatchNormMode::kFrozen : BatchNormMode::kTrain;
  run.trained = entry["trained"].get<std::string>();
  run.options.spec.trainable = [trained = run.trained](std::string_view parameter) {
    return parameter.starts_with(trained);
  };
  run.targets.label_smoothing = entry["smoothing"].get<double>();
  run.targets.class_weights = entry["class_weights"].get<std::vector<float>>();

  const Graph graph = build_graph(run.architecture, 1, run.size).value();
  const Checkpoint checkpoint = read_checkpoint(path("file")).value();
  run.weights = bind_weights(graph, canonical_names(checkpoint, run.architecture)).value();
  run.losses = entry["losses"].get<std::vector<double>>();
  run.labels = entry["labels"].get<std::vector<std::vector<int32_t>>>();
  const Tensor images = read_npy(path("images")).value();
  const size_t each = images.floats().size() / static_cast<size_t>(images.shape()[0]);
  for (size_t step = 0; step < run.losses.size(); ++step) {
    const auto part = images.floats().subspan(step * each, each);
    run.images.emplace_back(part.begin(), part.end());
  }
  run.biases.resize(run.losses.size());
  if (run.trained.empty()) {
    run.biases = by_step(read_tensors(path("biases")), run.losses.size());
  }
  run.gradients = read_tensors(path("gradients"));
  run.states = read_tensors(path("states"));
  run.loss_bound = manifest["bounds"]["loss"].get<double>();
  run.gradient_bound = manifest["bounds"]["gradients"].get<double>();
  run.state_bound = manifest["bounds"]["states"].get<double>();
  return run;
}

}  // namespace caldera::test
