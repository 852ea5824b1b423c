// The step once more, with everything kept; see nonfinite.h.
#include "caldera/nonfinite.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace caldera {

namespace {

std::optional<NonFinite> first_in(std::span<const float> values, const std::string& layer,
                                  std::string_view what) {
  const auto found =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (found == values.end()) return std::nullopt;
  return NonFinite{layer, std::string(what), std::isnan(*found)};
}

std::optional<NonFinite> first_in_weights(const Graph& graph, const Weights& weights) {
  for (const Value& value : graph.values) {
    const auto found = weights.find(value.name);
    if (found == weights.end() || value.role != ValueRole::kParameter) continue;
    const Tensor tensor = found->second.to_f32();
    if (auto bad = first_in(tensor.floats(), value.name, "its value")) return bad;
  }
  return std::nullopt;
}

size_t size_of(const Graph& graph, ValueId id) {
  return static_cast<size_t>(element_count(graph.value(id).shape));
}

}  // namespace

Result<std::optional<NonFinite>> find_nonfinite(const Device& device, const Graph& forward,
                                                const TrainingSpec& spec, const Weights& weights,
                                                std::span<const float> images,
                                                std::span<const float> targets,
                                                SessionOptions options, float loss_scale) {
  using Found = Result<std::optional<NonFinite>>;
  return detail::no_throw<Found>("the search for what is not finite", [&]() -> Found {
    if (auto bad = first_in_weights(forward, weights)) return bad;
    if (auto bad = first_in(images, "the images", "a pixel")) return bad;
    if (auto bad = first_in(targets, "the targets", "a share")) return bad;

    TrainingSpec kept = spec;
    kept.checkpointing = Checkpointing::kNone;
    CALDERA_TRY_ASSIGN(const TrainingGraph training, make_training_graph(forward, kept));
    options.keep_activations = true;
    options.pixels.reset();
    CALDERA_TRY_ASSIGN(Session session, Session::create(device, training.graph, weights, options));
    std::array<float, kScalarCount> scalars{};
    scalars[static_cast<size_t>(ScalarSlot::kLossScale)] = loss_scale;
    std::vector<std::vector<float>> results;
    for (const ValueId output : training.graph.outputs)
      results.emplace_back(size_of(training.graph, output));
    const std::array<std::span<const float>, 3> inputs{images, targets, scalars};
    const std::array<std::span<float>, 3> outputs{results[0], results[1], results[2]};
    CALDERA_TRY(session.run(inputs, outputs));

    // A norm overflows before what it is made of: it says nothing of a layer.
    const ValueId norms = session.graph().outputs[2];
    for (const Node& node : session.graph().nodes) {
      if (node.output() == ValueId::kNone || node.output() == norms) continue;
      // What reads it packs the weight itself: nothing is written here.
      if (node.kind() == OpKind::kTransposeWeight) continue;
      const Result<std::vector<float>> values = session.read(node.output());
      if (!values.ok()) continue;  // A view, which its own node's values show.
      if (auto bad = first_in(*values, node.name, "its output")) return bad;
    }
    // All that flows is finite, so a parameter's gradient is not.
    for (size_t i = 0; i < training.parameters.size(); ++i) {
      const std::span<const float> norm(&results[2][i + 1], 1);
      if (auto bad = first_in(norm, training.parameters[i], "its gradient")) return bad;
    }
    return std::optional<NonFinite>();
  });
}

}  // namespace caldera
