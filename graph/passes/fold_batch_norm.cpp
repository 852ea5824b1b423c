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

void fold(Graph& graph, Weights& weights, Node& conv, const Node& norm) {
  const auto floats = [&](ValueId id) {
    return weights.find(graph.value(id).name)->second.floats();
  };
  auto& attrs = std::get<Conv2dAttrs>(conv.attrs);
  const float eps = std::get<BatchNormAttrs>(norm.attrs).eps;
  const auto gamma = floats(norm.inputs[1]);
  const auto beta = floats(norm.inputs[2]);
  const auto mean = floats(norm.inputs[3]);
  const auto variance = floats(norm.inputs[4]);
  const auto weight = floats(conv.inputs[1]);
  const auto old_bias = attrs.bias ? floats(conv.inputs[2]) : std::span<const float>();

  const Shape shape = graph.value(conv.inputs[1]).shape;
  const auto channels = static_cast<size_t>(shape[0]);
  const size_t row = weight.size() / channels;
  std::vector<float> new_weight(weight.size());
  std::vector<float> new_bias(channels);
  for (size_t o = 0; o < channels; ++o) {
    const double scale = gamma[o] / std::sqrt(static_cast<double>(variance[o]) + eps);
    for (size_t i = o * row; i < (o + 1) * row; ++i) {
      new_weight[i] = static_cast<float>(weight[i] * scale);
    }
    const double old = old_bias.empty() ? 0.0 : old_bias[o];
    new_bias[o] = static_cast<float>((old - mean[o]) * scale + beta[o]);
  }
  const std::string suffix = " * " + norm.name;
  conv.inputs.resize(1);
  conv.inputs.push_back(add_parameter(graph, weights, conv.name + ".weight" + suffix,
                                      Tensor::from_floats(shape, std::move(new_weight))));
  conv.inputs.push_back(add_parameter(graph, weights, conv.name + ".bias" + suffix,
                                      Tensor::from_floats({shape[0]}, std::move(new_bias))));
  attrs.bias = true;
}

}  // namespace

void fold_batch_norm(Graph& graph, Weights& weights) {
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
    fold(graph, weights, conv, norm);
    epilogue.activation = std::get<BatchNormAttrs>(norm.attrs).epilogue.activation;
    conv.output = norm.output;
    removed[i] = true;
  }
  remove_nodes(graph, removed);
}

}  // namespace caldera
