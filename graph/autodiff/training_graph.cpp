// make_training_graph: fuse what training bears, append the forward nodes in their training form,
// the loss, then what changes something: running statistics, gradients in reverse order, norms and
// optimizers.
#include <algorithm>

#include <fmt/format.h>

#include "graph/autodiff/autodiff.h"
#include "graph/passes/passes.h"

namespace caldera {

namespace {

// By value: whether a trained parameter is among what it is made of, or is it.
std::vector<bool> mark_needed(const Graph& graph) {
  std::vector<bool> needs(graph.values.size(), false);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const Value& value = graph.values[i];
    needs[i] = value.role == ValueRole::kParameter && value.trainable;
  }
  for (const Node& node : graph.nodes) {
    needs[static_cast<uint32_t>(node.output())] = std::ranges::any_of(
        node.inputs, [&](ValueId id) { return needs[static_cast<uint32_t>(id)]; });
  }
  return needs;
}

// One optimizer for parameters that share their weight decay.
void append_optimizer(GraphAppender& to, OptimizerAttrs attrs,
                      const std::vector<std::pair<ValueId, ValueId>>& parameters,
                      std::vector<ValueId> inputs, std::string name) {
  if (parameters.empty()) return;
  std::vector<ValueId> updates;
  for (const auto& [parameter, gradient] : parameters) updates.push_back(parameter);
  for (const auto& [parameter, gradient] : parameters) updates.push_back(gradient);
  for (const std::string_view kind : optimizer_states(attrs)) {
    for (const auto& [parameter, gradient] : parameters) {
      const Value value = to.graph().value(parameter);
      updates.push_back(to.zero_state(state_name(value.name, kind), value.shape));
    }
  }
  to.update(std::move(name), attrs, std::move(inputs), std::move(updates));
}

Status check_forward(const Graph& forward) {
  if (forward.outputs.size() != 1 || forward.value(forward.outputs[0]).shape.size() != 2) {
    return Error{ErrorCode::kInvalidInput,
                 "training needs a graph of one output, logits [N, classes]"};
  }
  for (const Node& node : forward.nodes) {
    if (node.kind() <= OpKind::kDropout) continue;
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} ({}) is of training already: give the graph for inference",
                             node.name, op_name(node.kind()))};
  }
  return {};
}

}  // namespace

std::string state_name(std::string_view parameter, std::string_view kind) {
  return fmt::format("{}.{}", parameter, kind);
}

std::vector<std::string_view> optimizer_states(const OptimizerAttrs& optimizer) {
  std::vector<std::string_view> kinds;
  if (optimizer.kind != OptimizerKind::kSgd) {
    kinds = {"exp_avg", "exp_avg_sq"};
  } else if (optimizer.momentum != 0) {
    kinds = {"momentum_buffer"};
  }
  if (optimizer.ema_decay != 0) kinds.emplace_back("ema");
  return kinds;
}

Result<TrainingGraph> make_training_graph(const Graph& forward, const TrainingSpec& spec) {
  CALDERA_TRY(check_forward(forward));
  Graph graph = forward;
  for (Value& value : graph.values) {
    if (value.role != ValueRole::kParameter) continue;
    value.trainable = value.trainable && (!spec.trainable || spec.trainable(value.name));
  }
  fuse_epilogues(graph, FuseFor::kTraining);
  std::vector<bool> needs = mark_needed(graph);
  const ValueId logits = graph.outputs[0];
  if (!needs[static_cast<uint32_t>(logits)]) {
    return Error{ErrorCode::kInvalidInput, "no parameter is trained: all of them are frozen"};
  }

  const std::vector<Node> nodes = std::move(graph.nodes);
  graph.nodes.clear();
  GraphAppender to(graph);
  const ValueId targets = to.input("targets", graph.value(logits).shape);
  const ValueId scalars = to.input("scalars", {1, kScalarCount});
  const std::vector<RunningUpdate> updates = append_forward(to, nodes, needs, spec, scalars);
  const ValueId loss = to.node("loss", CrossEntropyAttrs{}, {logits, targets});
  CALDERA_TRY(to.status());

  const size_t forward_nodes = graph.nodes.size();
  for (const RunningUpdate& update : updates)
    to.update(update.name, update.attrs, {update.statistics, scalars}, update.running);
  Gradients gradients(to, needs);
  gradients.add(logits,
                to.node("loss gradient", CrossEntropyGradientAttrs{}, {logits, targets, scalars}));
  for (size_t i = forward_nodes; i-- > 0;) {
    if (gradients.of(graph.nodes[i].output()) == ValueId::kNone) continue;
    append_gradient(gradients, graph.nodes[i]);
    CALDERA_TRY(to.status());
  }

  std::vector<ValueId> norm_inputs;
  TrainingGraph training;
  std::vector<std::pair<ValueId, ValueId>> decayed, undecayed;
  for (const auto& pair : gradients.parameters()) {
    const Value& value = graph.value(pair.first);
    norm_inputs.push_back(pair.second);
    training.parameters.push_back(value.name);
    (spec.decay_vectors || value.shape.size() > 1 ? decayed : undecayed).push_back(pair);
  }
  norm_inputs.push_back(scalars);
  const ValueId norms = to.node("gradient norms", GradientNormsAttrs{}, std::move(norm_inputs));
  append_optimizer(to, spec.optimizer, decayed, {norms, scalars}, "optimizer");
  OptimizerAttrs without_decay = spec.optimizer;
  without_decay.weight_decay = 0;
  append_optimizer(to, without_decay, undecayed, {norms, scalars}, "optimizer without decay");
  CALDERA_TRY(to.status());

  for (const ValueId precise : {targets, scalars, loss, norms}) {
    graph.value(precise).storage = Storage::kF32;
  }
  for (Node& node : graph.nodes) {
    const bool statistics = node.kind() == OpKind::kBatchStatistics ||
                            node.kind() == OpKind::kFrozenStatistics ||
                            node.kind() == OpKind::kNormalizeSums;
    if (statistics) graph.value(node.output()).storage = Storage::kF32;
  }
  graph.outputs = {loss, logits, norms};
  drop_activations(graph, forward_nodes, std::move(needs), spec.checkpointing);
  training.graph = std::move(graph);
  return training;
}

}  // namespace caldera
