// Random weights that are the same bits on every machine. A value is a pure function of the seed,
// its tensor's name and its index (SplitMix64 as a counter-based generator), and becomes normal by
// integer arithmetic and one multiplication: the standard library's distributions, and its
// logarithms and cosines, differ between libraries.
#include <cmath>

#include "caldera/architecture.h"
#include "caldera/reference.h"

namespace caldera {
namespace {

// The finalizer of Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014.
uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// FNV-1a over the name, so that a tensor's values do not hang on its place in the graph.
uint64_t stream_of(std::string_view name, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return mix(hash ^ mix(seed + 0x9e3779b97f4a7c15u));
}

// The sum of twelve uniform numbers has variance 1 about its mean of 6, is normal to within 3e-3
// of its distribution function, and is exact in integers.
float standard_normal(uint64_t stream, uint64_t index) {
  int64_t sum = 0;
  for (uint64_t draw = 0; draw < 6; ++draw) {
    const uint64_t bits = mix(stream + (index * 6 + draw + 1) * 0x9e3779b97f4a7c15u);
    sum += static_cast<int64_t>(bits >> 32) + static_cast<int64_t>(bits & 0xffffffffu);
  }
  constexpr int64_t kMean = 6 * ((int64_t{1} << 32) - 1);
  return static_cast<float>(static_cast<double>(sum - kMean) * 0x1p-32);
}

Tensor normal(const Value& value, uint64_t seed, double variance) {
  const uint64_t stream = stream_of(value.name, seed);
  const auto deviation = static_cast<float>(std::sqrt(variance));
  std::vector<float> values(static_cast<size_t>(element_count(value.shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = standard_normal(stream, i) * deviation;
  return Tensor::from_floats(value.shape, std::move(values));
}

Tensor filled(const Value& value, float with) {
  return Tensor::from_floats(
      value.shape, std::vector<float>(static_cast<size_t>(element_count(value.shape)), with));
}

}  // namespace

Weights initial_weights(const Graph& graph, uint64_t seed) {
  Weights weights;
  const auto put = [&](const Node& node, size_t input, auto make) {
    if (input >= node.inputs.size()) return;
    const Value& value = graph.value(node.inputs[input]);
    if (value.role == ValueRole::kParameter || value.role == ValueRole::kState)
      weights.insert_or_assign(value.name, make(value));
  };
  const auto zeros = [](const Value& value) { return filled(value, 0); };
  const auto ones = [](const Value& value) { return filled(value, 1); };

  for (const Node& node : graph.nodes) {
    switch (node.kind()) {
      case OpKind::kConv2d:
        put(node, 1, [&](const Value& w) {
          return normal(w, seed, 2.0 / static_cast<double>(w.shape[0] * w.shape[2] * w.shape[3]));
        });
        put(node, 2, zeros);
        break;
      case OpKind::kLinear:
        // Fan-in here: a head of few classes would else begin with logits as large as its input
        // is wide.
        put(node, 1,
            [&](const Value& w) { return normal(w, seed, 2.0 / static_cast<double>(w.shape[1])); });
        put(node, 2, zeros);
        break;
      case OpKind::kBatchNorm:
        put(node, 1, ones);
        put(node, 2, zeros);
        put(node, 3, zeros);
        put(node, 4, ones);
        break;
      default:
        break;
    }
  }
  return weights;
}

namespace {

double mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

Weights calibrate_batch_norm(const Graph& graph, Weights weights, uint64_t seed) {
  ReferenceValues values;
  values.values.resize(graph.values.size());
  for (const ValueId input : graph.inputs) {
    const Value& value = graph.value(input);
    const Tensor pixels = normal(value, seed, 1.0);
    values.values[static_cast<uint32_t>(input)] = {pixels.floats().begin(), pixels.floats().end()};
  }
  for (const Node& node : graph.nodes) {
    if (node.kind() == OpKind::kBatchNorm) {
      // One scale a layer, not a mean and a variance a channel: from so few images those would
      // blow up what is nearly dead, and make very deep nets chaotic.
      const double square = mean_square(values[node.inputs[0]]);
      const Value& variance = graph.value(node.inputs[4]);
      weights.insert_or_assign(variance.name,
                               filled(variance, square > 0 ? static_cast<float>(square) : 1.0f));
    }
    values.values[static_cast<uint32_t>(node.output())] =
        reference_node(graph, node, weights, values);
  }
  return weights;
}

}  // namespace caldera
