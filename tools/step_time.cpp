// Nodes of a training graph bear their layer's name, with what they do behind a space; they come
// as forward, backward from the loss gradient on, and update from the gradient norms on.
#include "tools/step_time.h"

#include <algorithm>
#include <map>
#include <random>

namespace caldera::tool {

namespace {

std::string layer_of(const std::string& node) {
  if (node == "gradient norms" || node.starts_with("optimizer")) return "optimizer";
  return node.substr(0, node.find(' '));
}

std::vector<LayerTime> by_layer(const Graph& graph, const std::vector<DispatchTime>& dispatches) {
  std::vector<LayerTime> layers;
  std::map<std::string, size_t> places;
  double LayerTime::*phase = &LayerTime::forward;
  for (const DispatchTime& dispatch : dispatches) {
    std::string layer = "layouts";  // At the graph's edges.
    if (dispatch.node != NodeId::kNone) {
      const std::string& name = graph.node(dispatch.node).name;
      if (name == "loss gradient") phase = &LayerTime::backward;
      if (name == "gradient norms") phase = &LayerTime::update;
      layer = layer_of(name);
    }
    const auto [place, is_new] = places.emplace(layer, layers.size());
    if (is_new) layers.push_back({.name = layer});
    layers[place->second].*phase += dispatch.seconds;
  }
  return layers;
}

}  // namespace

Result<TrainerOptions> trainer_options(const Graph& graph, const FitOptions& options) {
  CALDERA_TRY_ASSIGN(std::vector<std::string> trained,
                     choose_parameters(graph, options.parameters));
  TrainerOptions trainer{.spec = options.spec, .session = options.session, .seed = options.seed};
  trainer.spec.trainable = [trained = std::move(trained)](std::string_view name) {
    return std::find(trained.begin(), trained.end(), name) != trained.end();
  };
  return trainer;
}

Result<std::vector<LayerTime>> time_step(const Device& device, const Model& model,
                                         const FitOptions& options, int64_t batch) {
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(batch));
  CALDERA_TRY_ASSIGN(TrainerOptions trainer, trainer_options(graph, options));
  trainer.session.profile = true;
  CALDERA_TRY_ASSIGN(Trainer timed, Trainer::create(device, graph, model.weights(), trainer));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> images(
      static_cast<size_t>(element_count(graph.value(graph.inputs.front()).shape)));
  for (float& value : images) value = normal(random);
  const auto classes = static_cast<size_t>(model.architecture().classes);
  std::vector<float> targets(static_cast<size_t>(batch) * classes,
                             1.0f / static_cast<float>(static_cast<size_t>(batch) * classes));
  for (int run = 0; run < 2; ++run)
    CALDERA_TRY(timed.step(images, targets, 0));  // The first warms.
  CALDERA_TRY_ASSIGN(const std::vector<DispatchTime> dispatches, timed.session().timeline());
  return by_layer(timed.session().graph(), dispatches);
}

}  // namespace caldera::tool
