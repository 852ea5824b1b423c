// What a kernel variant writes its dispatches with. An emitter stands for a run of consecutive
// images of the batch: where a whole tensor is more than one binding may span, a node is emitted
// several times, each for some of the images.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "graph/dispatch.h"
#include "graph/state_layout.h"
#include "runtime/capabilities.h"

namespace caldera {

// The variant of a shader for values that are stored so.
struct StoredShader {
  ShaderId shader{};
  Storage storage = Storage::kF32;
};

class Emitter {
 public:
  Emitter(const Capabilities& capabilities, const Graph& graph, const StateLayout& states,
          std::vector<Dispatch>& dispatches, std::vector<PackedWeight>& weights,
          std::vector<uint64_t>& workspaces)
      : capabilities_(capabilities),
        graph_(graph),
        states_(states),
        dispatches_(dispatches),
        weights_(weights),
        workspaces_(workspaces) {}

  void set_images(int64_t first, int64_t count) { first_ = first, images_ = count; }
  // Whose dispatches are being appended. What packs a weight that training changes is made anew for
  // each node that reads it: to keep it from the way forward to the way back would take more.
  void set_node(NodeId node) {
    node_ = node;
    storage_ = storage_of(graph_, graph_.node(node));
    packed_index_.clear();
  }

  const Capabilities& capabilities() const { return capabilities_; }
  const Graph& graph() const { return graph_; }
  uint32_t first_image() const { return static_cast<uint32_t>(first_); }
  // How many images this emitter stands for: the batch extent of all shapes to use.
  uint32_t images() const { return static_cast<uint32_t>(images_); }
  // How the node's activations are stored.
  Storage storage() const { return storage_; }
  ImageShape shape(ValueId value) const { return ImageShape(graph_.value(value)); }

  // These images of an activation.
  Binding activation(ValueId value) const;
  // So many images of it, and all of them, whatever this emitter stands for.
  Binding activation(ValueId value, int64_t first, int64_t count) const;
  Binding whole(ValueId value) const { return activation(value, 0, shape(value).n); }
  // A whole parameter; where training changes it, a dispatch that packs it goes first.
  Binding weight(ValueId value, WeightLayout layout);
  // What training changes in place. Precondition: a node updates it.
  Binding state(ValueId value) const;
  Place state_place(ValueId value) const { return states_.place(value); }
  // From the first value's start to the last one's end. Precondition: they lie in one block.
  Binding states(ValueId first, ValueId last) const;
  // Words that stay the same for the plan's life.
  Binding table(std::vector<uint32_t> words);
  // What to bind where a shader asks for a bias or residual that is not there, and reads none.
  // Precondition: the node has a weight.
  Binding unused(ValueId weight);
  // Fresh memory that lives from the first dispatch that binds it to the last.
  Binding workspace(uint64_t bytes);
  Binding host_input(uint32_t index) const;
  Binding host_output(uint32_t index) const;

  // A workgroup size that suits a kernel which has no wish of its own.
  uint32_t workgroup_size() const;
  // kRolled of shaders/common/rolled.glsl.
  uint32_t rolls_stores() const { return capabilities_.cpu; }
  // The same for values that are stored otherwise than the node's activations.
  Dispatch& dispatch(NodeId node, StoredShader shader, const PushConstants& push,
                     std::vector<Binding> bindings, uint64_t invocations);
  // Appends a dispatch of `invocations`, in workgroups of `workgroup_size` (its constant 0), of the
  // shader for the node's storage.
  Dispatch& dispatch(NodeId node, ShaderId shader, const PushConstants& push,
                     std::vector<Binding> bindings, uint64_t invocations, uint32_t workgroup_size);
  Dispatch& dispatch(NodeId node, ShaderId shader, const PushConstants& push,
                     std::vector<Binding> bindings, uint64_t invocations) {
    return dispatch(node, shader, push, std::move(bindings), invocations, workgroup_size());
  }

 private:
  Binding packed_state(const PackedWeight& weight);
  void pack(const PackedWeight& weight, const Binding& packed);

  const Capabilities& capabilities_;
  const Graph& graph_;
  const StateLayout& states_;
  Storage storage_ = Storage::kF32;
  std::vector<Dispatch>& dispatches_;
  std::vector<PackedWeight>& weights_;
  std::vector<uint64_t>& workspaces_;
  using WeightKey = std::tuple<ValueId, WeightLayout, Storage>;
  std::map<WeightKey, uint32_t> weight_index_;                         // Into weights_.
  std::map<std::pair<ValueId, WeightLayout>, uint32_t> packed_index_;  // Into workspaces_.
  int64_t first_ = 0;
  int64_t images_ = 0;
  NodeId node_ = NodeId::kNone;
};

// Bytes of a parameter in a layout.
uint64_t packed_bytes(const Shape& shape, WeightLayout layout, Storage storage);

// The id of a node that stands in `graph`.
inline NodeId id_of(const Graph& graph, const Node& node) {
  return static_cast<NodeId>(&node - graph.nodes.data());
}

}  // namespace caldera
