// The forward graph as training runs it.
#include <fmt/format.h>

#include "graph/autodiff/autodiff.h"

namespace caldera {

namespace {

// x, weight, bias, running_mean, running_var, [residual] -> statistics and a normalisation by them.
void append_batch_norm(GraphAppender& to, const Node& node, const TrainingSpec& spec,
                       std::vector<RunningUpdate>& updates) {
  const auto& attrs = std::get<BatchNormAttrs>(node.attrs);
  const ValueId x = node.inputs[0];
  const std::vector<ValueId> running{node.inputs[3], node.inputs[4]};
  ValueId statistics = ValueId::kNone;
  if (spec.batch_norm == BatchNormMode::kTrain) {
    statistics = to.node(node.name + " statistics", BatchStatisticsAttrs{}, {x});
    const Shape& shape = to.shape(x);
    updates.push_back({node.name + " running statistics",
                       {.momentum = spec.batch_norm_momentum,
                        .cumulative = spec.cumulative_statistics,
                        .count = element_count(shape) / shape[1]},
                       statistics,
                       running});
  } else {
    statistics = to.node(node.name + " statistics", FrozenStatisticsAttrs{}, running);
  }
  std::vector<ValueId> inputs{x, statistics, node.inputs[1], node.inputs[2]};
  if (attrs.epilogue.residual) inputs.push_back(node.inputs.back());
  to.replace(node.name, NormalizeAttrs{attrs.eps, attrs.epilogue}, std::move(inputs),
             node.output());
}

}  // namespace

std::vector<RunningUpdate> append_forward(GraphAppender& to, const std::vector<Node>& nodes,
                                          const std::vector<bool>& needs, const TrainingSpec& spec,
                                          ValueId scalars) {
  std::vector<RunningUpdate> updates;
  uint32_t stream = 0;
  for (const Node& node : nodes) {
    const bool needed = needs[static_cast<uint32_t>(node.output())];
    if (node.kind() == OpKind::kBatchNorm && (needed || spec.batch_norm == BatchNormMode::kTrain)) {
      append_batch_norm(to, node, spec, updates);
    } else if (node.kind() == OpKind::kDropout && spec.dropout) {
      const float probability = std::get<DropoutAttrs>(node.attrs).probability;
      to.replace(node.name, DropoutMaskAttrs{probability, stream++}, {node.inputs[0], scalars},
                 node.output());
    } else {
      to.replace(node.name, node.attrs, node.inputs, node.output());
    }
  }
  return updates;
}

}  // namespace caldera
