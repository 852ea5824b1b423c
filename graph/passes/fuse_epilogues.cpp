// Epilogue fusion: each fused node saves a dispatch and a round trip of its tensor to memory.
#include "graph/passes/passes.h"

namespace caldera {

namespace {

// Null for nodes without an epilogue that adds a residual.
Epilogue* epilogue_of(Node& node) {
  if (auto* conv = std::get_if<Conv2dAttrs>(&node.attrs)) return &conv->epilogue;
  if (auto* norm = std::get_if<BatchNormAttrs>(&node.attrs)) return &norm->epilogue;
  if (auto* linear = std::get_if<LinearAttrs>(&node.attrs)) return &linear->epilogue;
  return nullptr;
}

// Null for nodes that cannot end in an activation.
Activation* activation_of(Node& node) {
  if (Epilogue* epilogue = epilogue_of(node)) return &epilogue->activation;
  if (auto* add = std::get_if<AddAttrs>(&node.attrs)) return &add->activation;
  if (auto* multiply = std::get_if<MultiplyAttrs>(&node.attrs)) return &multiply->activation;
  return nullptr;
}

class Fuser {
 public:
  Fuser(Graph& graph, FuseFor purpose)
      : graph_(graph),
        purpose_(purpose),
        uses_(count_uses(graph)),
        removed_(graph.nodes.size(), false) {}

  void run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (graph_.nodes[i].kind() == OpKind::kAdd) fuse_add(i);
      if (graph_.nodes[i].kind() == OpKind::kActivation) fuse_activation(i);
    }
    remove_nodes(graph_, removed_);
  }

 private:
  // The node that makes `value` for one reader alone; else kNone.
  NodeId sole_producer(ValueId value) const {
    return uses_[static_cast<uint32_t>(value)] == 1 ? graph_.value(value).producer : NodeId::kNone;
  }

  // The producer of one addend takes the other as its residual, and the add's place in the order,
  // where both addends are ready. The second addend's producer is tried last: of two branches it
  // is the shortcut.
  void fuse_add(size_t index) {
    const Node& add = graph_.nodes[index];
    const ValueId a = add.inputs[0];
    const ValueId b = add.inputs[1];
    if (a == b || graph_.value(a).shape != graph_.value(b).shape) return;
    if (!take_residual(index, a, b)) take_residual(index, b, a);
  }

  bool take_residual(size_t index, ValueId made, ValueId other) {
    const NodeId producer = sole_producer(made);
    if (producer == NodeId::kNone) return false;
    Node fused = graph_.node(producer);
    Epilogue* epilogue = epilogue_of(fused);
    if (!epilogue || epilogue->residual || epilogue->activation != Activation::kNone) return false;
    epilogue->residual = true;
    epilogue->activation = std::get<AddAttrs>(graph_.nodes[index].attrs).activation;
    fused.inputs.push_back(other);
    replace(index, producer, std::move(fused));
    return true;
  }

  void fuse_activation(size_t index) {
    const Node& node = graph_.nodes[index];
    const NodeId producer = sole_producer(node.inputs[0]);
    if (producer == NodeId::kNone) return;
    Node fused = graph_.node(producer);
    Activation* activation = activation_of(fused);
    if (!activation || *activation != Activation::kNone) return;
    if (!bears(fused, std::get<ActivationAttrs>(node.attrs).activation)) return;
    *activation = std::get<ActivationAttrs>(node.attrs).activation;
    replace(index, producer, std::move(fused));
  }

  bool bears(Node& node, Activation activation) const {
    if (purpose_ == FuseFor::kInference || takes_output(activation)) return true;
    return node.kind() == OpKind::kBatchNorm && !epilogue_of(node)->residual;
  }

  // `fused` stands for the node at `index` and for `producer`.
  void replace(size_t index, NodeId producer, Node fused) {
    Node& node = graph_.nodes[index];
    fused.outputs = node.outputs;
    fused.full_precision |= node.full_precision;
    node = std::move(fused);
    removed_[static_cast<uint32_t>(producer)] = true;
  }

  Graph& graph_;
  FuseFor purpose_;
  std::vector<int> uses_;
  std::vector<bool> removed_;
};

}  // namespace

void fuse_epilogues(Graph& graph, FuseFor purpose) {
  Fuser(graph, purpose).run();
}

}  // namespace caldera
