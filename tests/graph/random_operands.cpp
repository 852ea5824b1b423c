// std::mt19937 is the same everywhere; the standard's distributions are not, and so not used.
#include "tests/graph/random_operands.h"

#include <random>
#include <utility>

#include "graph/half.h"

namespace caldera::test {

namespace {

std::vector<float> random_floats(std::mt19937& random, const Shape& shape, float low, float high) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (float& value : values) {
    value = low + (high - low) * static_cast<float>(random() >> 8) * 0x1p-24f;
  }
  return values;
}

}  // namespace

Weights random_weights(const Graph& graph, uint32_t seed) {
  std::mt19937 random(seed);
  Weights weights;
  for (const Value& value : graph.values) {
    if (value.role == ValueRole::kInput || value.role == ValueRole::kActivation) continue;
    const bool variance = value.name.ends_with("running_var");
    weights[value.name] =
        Tensor::from_floats(value.shape, variance ? random_floats(random, value.shape, 0.5f, 1.5f)
                                                  : random_floats(random, value.shape, -1, 1));
  }
  return weights;
}

std::vector<std::vector<float>> random_inputs(const Graph& graph, uint32_t seed, float scale) {
  std::mt19937 random(seed);
  std::vector<std::vector<float>> inputs;
  for (const ValueId id : graph.inputs) {
    inputs.push_back(random_floats(random, graph.value(id).shape, -scale, scale));
  }
  return inputs;
}

namespace {

float rounded(float value, Precision precision) {
  switch (precision) {
    case Precision::kFp16:
      return half_to_float(float_to_half(value));
    case Precision::kBf16:
      return bf16_to_float(float_to_bf16(value));
    case Precision::kFp32:
      break;
  }
  return value;
}

}  // namespace

std::vector<std::vector<float>> as_stored(std::vector<std::vector<float>> inputs,
                                          Precision precision) {
  for (std::vector<float>& input : inputs) {
    for (float& value : input) value = rounded(value, precision);
  }
  return inputs;
}

Weights as_stored(Weights weights, Precision precision) {
  for (auto& [name, tensor] : weights) {
    if (tensor.shape().size() < 2) continue;
    std::vector<float> values(tensor.floats().begin(), tensor.floats().end());
    for (float& value : values) value = rounded(value, precision);
    tensor = Tensor::from_floats(tensor.shape(), std::move(values));
  }
  return weights;
}

}  // namespace caldera::test
