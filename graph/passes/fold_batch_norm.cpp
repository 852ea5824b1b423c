// Batch-norm folding: with s = weight / sqrt(var + eps),
//   bn(conv(x, W) + b) = conv(x, s W) + (b - mean) s + bias.
#include <cmath>

#include "graph/passes/passes.h"

namespace caldera {

namespace {

ValueId add_parameter(Graph& graph, Weights& weights, std::string name, Tensor tensor) {
  const auto id = static_cast<ValueId>(graph.values.size());
  graph.values.push_back({name, ValueRole::kParameter, tensor.shape()});
  weights.insert_or_assign(std::move(name), std::move(tensor));
  return id;
}

void fold(Graph& graph, Weights& weights, ChannelScales& scales, Node& conv, const Node& norm) {
  const auto tensor = [&](ValueId id) { return weights.find(graph.value(id).name)->second; };
  const auto floats = [&](ValueId id) { return tensor(id).floats(); };
  auto& attrs = std::get<Conv2dAttrs>(conv.attrs);
  const float eps = std::get<BatchNormAttrs>(norm.attrs).eps;
  const auto gamma = floats(norm.inputs[1]);
  const auto beta = floats(norm.inputs[2]);
  const auto mean = floats(norm.inputs[3]);
  const auto variance = floats(norm.inputs[4]);
  const auto old_bias = attrs.bias ? floats(conv.inputs[2]) : std::span<const float>();

  const auto channels = static_cast<size_t>(graph.value(conv.inputs[1]).shape[0]);
  std::vector<double> scale(channels);
  std::vector<float> new_bias(channels);
  for (size_t o = 0; o < channels; ++o) {
    scale[o] = gamma[o] / std::sqrt(static_cast<double>(variance[o]) + eps);
    const double old = old_bias.empty() ? 0.0 : old_bias[o];
    new_bias[o] = static_cast<float>((old - mean[o]) * scale[o] + beta[o]);
  }
  // Of a convolution that was folded before.
  if (const auto earlier = scales.find(graph.value(conv.inputs[1]).name); earlier != scales.end()) {
    for (size_t o = 0; o < channels; ++o) scale[o] *= earlier->second[o];
  }
  const std::string suffix = " * " + norm.name;
  const std::string name = conv.name + ".weight" + suffix;
  const Tensor weight = tensor(conv.inputs[1]);
  conv.inputs.resize(1);
  conv.inputs.push_back(add_parameter(graph, weights, name, weight));
  scales.insert_or_assign(name, std::move(scale));
  conv.inputs.push_back(
      add_parameter(graph, weights, conv.name + ".bias" + suffix,
                    Tensor::from_floats({static_cast<int64_t>(channels)}, std::move(new_bias))));
  attrs.bias = true;
}

}  // namespace

Weights apply_scales(const Weights& weights, const ChannelScales& scales) {
  Weights scaled = weights;
  for (const auto& [name, factors] : scales) {
    Tensor& tensor = scaled.find(name)->second;
    const auto values = tensor.floats();
    const size_t row = values.size() / factors.size();
    std::vector<float> products(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      products[i] = static_cast<float>(values[i] * factors[i / row]);
    }
    tensor = Tensor::from_floats(tensor.shape(), std::move(products));
  }
  return scaled;
}

void fold_batch_norm(Graph& graph, Weights& weights, ChannelScales& scales) {
  const std::vector<int> uses = count_uses(graph);
  std::vector<bool> removed(graph.nodes.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& norm = graph.nodes[i];
    if (norm.kind() != OpKind::kBatchNorm ||
        std::get<BatchNormAttrs>(norm.attrs).epilogue.residual ||
        uses[static_cast<uint32_t>(norm.inputs[0])] != 1) {
      continue;
    }
    const NodeId producer = graph.value(norm.inputs[0]).producer;
    if (producer == NodeId::kNone || graph.node(producer).kind() != OpKind::kConv2d) continue;
    Node& conv = graph.node(producer);
    Epilogue& epilogue = std::get<Conv2dAttrs>(conv.attrs).epilogue;
    if (epilogue.residual || epilogue.activation != Activation::kNone) continue;
    fold(graph, weights, scales, conv, norm);
    epilogue.activation = std::get<BatchNormAttrs>(norm.attrs).epilogue.activation;
    conv.outputs = norm.outputs;
    conv.full_precision |= norm.full_precision;
    removed[i] = true;
  }
  remove_nodes(graph, removed);
}

}  // namespace caldera
