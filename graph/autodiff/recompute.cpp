// Activation checkpointing: what the way forward made and the way back reads is made again there,
// in place of lying in memory until then. (Chen et al., "Training Deep Nets with Sublinear Memory
// Cost", arXiv 1604.06174.) Only more nodes: the planner sees shorter lifetimes, and the copies run
// the kernels of their originals on the same bits.
//
//   forward    z1 = conv(x)   a1 = norm(z1)   z2 = conv(a1)   y = norm(z2) + x   ...
//   kCheap     ... y' = norm(z2) + x   dz2   a1' = norm(z1)   dw2 from a1'   dz1   dw1 from x
//   kBlocks    ... z1' = conv(x)  a1' = norm(z1')  z2' = conv(a1')  dz2  dw2 from a1'  ...
//
// What is made again of something made again has to make that first: a chain of residual sums
// reaches back through the net. So some ends of blocks are kept, as many as leave the fewest bytes
// alive at once.
#include <algorithm>
#include <optional>
#include <utility>

#include "graph/autodiff/autodiff.h"
#include "graph/passes/passes.h"

namespace caldera {

namespace {

bool is_cheap(OpKind kind) {
  switch (kind) {
    case OpKind::kNormalize:
    case OpKind::kActivation:
    case OpKind::kAdd:
    case OpKind::kMultiply:
    case OpKind::kConcat:
    case OpKind::kMaxPool2d:
    case OpKind::kAvgPool2d:
    case OpKind::kPad:
    case OpKind::kSubsample:
    case OpKind::kDropoutMask:
      return true;
    default:
      return false;
  }
}

uint64_t bytes_of(const Value& value) {
  return static_cast<uint64_t>(element_count(value.shape)) *
         element_bytes(value.storage.value_or(Storage::kF32));
}

// Others are vectors or numbers, too small to gain by.
bool is_image(const Value& value) {
  return value.role == ValueRole::kActivation && value.shape.size() == 4 &&
         value.shape[2] * value.shape[3] > 1;
}

// The most bytes of activations alive at one node; the planner's lower bound, but for workspaces.
uint64_t most_alive(const Graph& graph) {
  std::vector<size_t> last(graph.values.size(), 0);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId input : graph.nodes[i].inputs) last[static_cast<uint32_t>(input)] = i;
  }
  for (const ValueId output : graph.outputs)
    last[static_cast<uint32_t>(output)] = graph.nodes.size();
  std::vector<uint64_t> freed(graph.nodes.size() + 1, 0);  // After each node.
  uint64_t alive = 0;
  uint64_t most = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId output : graph.nodes[i].outputs) {
      const uint64_t bytes = bytes_of(graph.value(output));
      alive += bytes;
      freed[std::max(i, last[static_cast<uint32_t>(output)])] += bytes;
    }
    most = std::max(most, alive);
    alive -= freed[i];
  }
  return most;
}

class Recompute {
 public:
  Recompute(const Graph& graph, size_t forward_nodes, const std::vector<bool>& needs,
            Checkpointing mode)
      : graph_(graph),
        forward_(graph.nodes.begin(), graph.nodes.begin() + static_cast<int64_t>(forward_nodes)),
        backward_(graph.nodes.begin() + static_cast<int64_t>(forward_nodes), graph.nodes.end()),
        needs_(needs),
        mode_(mode),
        read_back_(graph.values.size(), false),
        ends_block_(find_ends()),
        seen_(forward_nodes, 0) {
    for (const Node& node : backward_) {
      for (const ValueId input : node.inputs) read_back_[static_cast<uint32_t>(input)] = true;
    }
  }

  // The graph that keeps the end of a block where making it again would take the making of more
  // than `limit` bytes.
  Graph rewrite(uint64_t limit) {
    choose(limit);
    Graph made = graph_;
    made.nodes = forward_;
    std::vector<ValueId> now(graph_.values.size());  // By value: itself, or its copy.
    for (size_t i = 0; i < now.size(); ++i) now[i] = static_cast<ValueId>(i);
    const auto rename = [&](Node& node) {
      for (ValueId& input : node.inputs) input = now[static_cast<uint32_t>(input)];
    };
    for (Node node : backward_) {
      for (const ValueId input : node.inputs) {
        for (const NodeId maker : chain(input)) {
          Node again = forward_[static_cast<uint32_t>(maker)];
          again.name += " again";
          rename(again);
          for (ValueId& output : again.outputs) {
            Value copy = graph_.value(output);
            copy.name = again.name;
            const auto made_again = static_cast<ValueId>(made.values.size());
            now[static_cast<uint32_t>(output)] = made_again;
            dropped_[static_cast<uint32_t>(output)] = false;
            output = made_again;
            made.values.push_back(std::move(copy));
          }
          made.nodes.push_back(std::move(again));
        }
      }
      rename(node);
      made.nodes.push_back(std::move(node));
    }
    remove_nodes(made, std::vector<bool>(made.nodes.size(), false));  // Sets producers anew.
    return made;
  }

 private:
  // By value: whether nothing else that is large is alive between its making and its first reader.
  std::vector<bool> find_ends() const {
    std::vector<size_t> last(graph_.values.size(), 0);
    for (size_t i = 0; i < forward_.size(); ++i) {
      for (const ValueId input : forward_[i].inputs) last[static_cast<uint32_t>(input)] = i;
    }
    std::vector<int> gone(forward_.size(), 0);  // After each node.
    std::vector<bool> ends(graph_.values.size(), false);
    int alive = 0;
    for (size_t i = 0; i < forward_.size(); ++i) {
      const ValueId output = forward_[i].output();
      const bool large = output != ValueId::kNone && is_image(graph_.value(output));
      if (large) {
        ++alive;
        ++gone[std::max(i, last[static_cast<uint32_t>(output)])];
      }
      alive -= gone[i];
      if (large && alive == 1) ends[static_cast<uint32_t>(output)] = true;
    }
    return ends;
  }

  // Which values are not kept for the way back.
  void choose(uint64_t limit) {
    dropped_.assign(graph_.values.size(), false);
    for (const Node& node : forward_) {
      if (!may_drop(node)) continue;
      drop(node, true);
      if (!ends_block_[static_cast<uint32_t>(node.output())]) continue;
      uint64_t bytes = 0;
      for (const NodeId maker : chain(node.output())) {
        for (const ValueId output : forward_[static_cast<uint32_t>(maker)].outputs) {
          bytes += bytes_of(graph_.value(output));
        }
      }
      drop(node, bytes <= limit);
    }
  }

  void drop(const Node& node, bool dropped) {
    for (const ValueId output : node.outputs) dropped_[static_cast<uint32_t>(output)] = dropped;
  }

  // What no trained parameter is behind is kept: what it was made of is not there on the way back.
  bool may_drop(const Node& node) const {
    if (node.output() == ValueId::kNone || !needs_[static_cast<uint32_t>(node.output())])
      return false;
    if (!is_image(graph_.value(node.output()))) return false;
    if (mode_ == Checkpointing::kBlocks && node.kind() == OpKind::kConv2d) return true;
    if (!is_cheap(node.kind())) return false;
    return mode_ == Checkpointing::kBlocks ||
           std::ranges::all_of(node.inputs, [&](ValueId id) { return is_there(id); });
  }

  // Whether reading it on the way back keeps nothing alive that would not be.
  bool is_there(ValueId id) const {
    const auto index = static_cast<uint32_t>(id);
    return !is_image(graph_.values[index]) || read_back_[index] || dropped_[index];
  }

  // The makers of the dropped values, in their order, that have to run again to read `value`.
  std::vector<NodeId> chain(ValueId value) {
    ++visit_;
    std::vector<NodeId> found;
    const auto visit = [&](ValueId id) {
      if (!dropped_[static_cast<uint32_t>(id)]) return;
      const NodeId maker = graph_.value(id).producer;
      uint32_t& seen = seen_[static_cast<uint32_t>(maker)];
      if (std::exchange(seen, visit_) != visit_) found.push_back(maker);
    };
    visit(value);
    for (size_t i = 0; i < found.size(); ++i) {
      for (const ValueId input : forward_[static_cast<uint32_t>(found[i])].inputs) visit(input);
    }
    std::ranges::sort(found);
    return found;
  }

  const Graph& graph_;
  std::vector<Node> forward_, backward_;
  const std::vector<bool>& needs_;
  Checkpointing mode_;
  std::vector<bool> read_back_;   // By value: whether the way back reads it.
  std::vector<bool> ends_block_;  // By value.
  std::vector<bool> dropped_;     // By value: still to be made again.
  std::vector<uint32_t> seen_;    // By forward node: the visit that saw it last.
  uint32_t visit_ = 0;
};

}  // namespace

void drop_activations(Graph& graph, size_t forward_nodes, std::vector<bool> needs,
                      Checkpointing mode) {
  if (mode == Checkpointing::kNone) return;
  needs.resize(graph.values.size(), false);
  Recompute recompute(graph, forward_nodes, needs, mode);
  double all = 0;
  for (const Value& value : graph.values) {
    if (is_image(value)) all += static_cast<double>(bytes_of(value));
  }
  std::optional<Graph> best;
  uint64_t least = most_alive(graph);
  for (double limit = 0; limit < 1.25 * all; limit = std::max(all / 1000, 1.25 * limit)) {
    Graph made = recompute.rewrite(static_cast<uint64_t>(limit));
    const uint64_t bytes = most_alive(made);
    if (bytes >= least) continue;
    least = bytes;
    best = std::move(made);
  }
  if (best) graph = std::move(*best);
}

}  // namespace caldera
