// What the parts of autodiff share: appending nodes to a graph, and the rules of gradients.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "caldera/autodiff.h"

namespace caldera {

// Appends to a graph. The first failure sticks, with the name of its node.
class GraphAppender {
 public:
  explicit GraphAppender(Graph& graph) : graph_(graph) {}

  ValueId input(std::string name, Shape shape);
  // A state that starts at zero.
  ValueId zero_state(std::string name, Shape shape);
  // The output of a new node.
  ValueId node(std::string name, Attrs attrs, std::vector<ValueId> inputs,
               std::vector<ValueId> updates = {});
  // Gives the node that makes `output` the attributes `attrs`, by which it makes one value more:
  // that value, stored as `storage`. The same value where it makes it already.
  ValueId another_output(ValueId output, Attrs attrs);
  // The same as node() for an operator that only updates.
  void update(std::string name, Attrs attrs, std::vector<ValueId> inputs,
              std::vector<ValueId> updates);
  // Makes `output` again, which a node that was dropped made.
  void replace(std::string name, Attrs attrs, std::vector<ValueId> inputs, ValueId output);

  const Graph& graph() const { return graph_; }
  const Shape& shape(ValueId value) const { return graph_.value(value).shape; }
  const Status& status() const { return status_; }

 private:
  ValueId append_value(Value value);
  Result<std::vector<Shape>> infer(const std::string& name, const Attrs& attrs,
                                   const std::vector<ValueId>& inputs);

  Graph& graph_;
  Status status_;
};

// What is left to do with a batch's statistics.
struct RunningUpdate {
  std::string name;
  UpdateRunningAttrs attrs;
  ValueId statistics;
  std::vector<ValueId> running;  // Mean and variance.
};

// Batch-norm of the batch or with a gradient, dropout that drops: the forward graph as training
// runs it. It changes nothing: the updates of running statistics are returned, to be appended
// behind it. `needs`: by value, whether a trained parameter is among what it is made of.
std::vector<RunningUpdate> append_forward(GraphAppender& to, const std::vector<Node>& nodes,
                                          const std::vector<bool>& needs, const TrainingSpec& spec,
                                          ValueId scalars);

// Gradients by value, summed where several nodes read a value.
class Gradients {
 public:
  Gradients(GraphAppender& to, std::vector<bool> needs) : to_(to), needs_(std::move(needs)) {}

  // Whether a trained parameter is among what `value` is made of, or is it.
  bool needed(ValueId value) const {
    const auto index = static_cast<uint32_t>(value);
    return index < needs_.size() && needs_[index];
  }
  // kNone where none was added.
  ValueId of(ValueId value) const;
  // Adds to the gradient of an activation, if it is needed.
  void add(ValueId value, ValueId gradient);
  // The state that nodes add a parameter's gradient to.
  ValueId parameter(ValueId value);
  // By parameter and gradient, in the order in which they were first asked for.
  const std::vector<std::pair<ValueId, ValueId>>& parameters() const { return parameters_; }

  GraphAppender& to() { return to_; }

 private:
  GraphAppender& to_;
  std::vector<bool> needs_;
  std::vector<ValueId> gradients_;  // By value.
  std::vector<std::pair<ValueId, ValueId>> parameters_;
};

// Appends what passes the gradient of `node`'s output, which is there, on to its inputs.
void append_gradient(Gradients& gradients, const Node& node);

// Of a whole training graph, of which the first `forward_nodes` are the way forward: makes
// activations again where the way back reads them. `needs` as append_forward() has it.
void drop_activations(Graph& graph, size_t forward_nodes, std::vector<bool> needs,
                      Checkpointing mode);

}  // namespace caldera
