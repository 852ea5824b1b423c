// Storage by value: a policy for all, exceptions by name, and conversions where the two meet.
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "graph/passes/passes.h"

namespace caldera {

namespace {

// Whether `name` is `pattern`, in which '*' stands for any characters. Where they part, the last
// '*' takes one character more: those before it need not.
bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0;
  size_t star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// What autodiff adds for a layer bears its name and a word or two: "layer1.0.conv1 gradient".
std::string_view layer_of(std::string_view node_name) {
  return node_name.substr(0, node_name.find(' '));
}

bool is_loss(const Node& node) {
  return node.kind() == OpKind::kCrossEntropy || node.kind() == OpKind::kCrossEntropyGradient;
}

class StorageChooser {
 public:
  StorageChooser(Graph& graph, Storage storage) : graph_(graph), storage_(storage) {
    for (Value& value : graph.values) {
      // Kernels pack a transposed weight as they do any other: it is never in the arena.
      const bool weight = value.producer != NodeId::kNone &&
                          graph.node(value.producer).kind() == OpKind::kTransposeWeight;
      if (weight) value.storage = Storage::kF32;
      const bool activation =
          value.role == ValueRole::kInput || value.role == ValueRole::kActivation;
      open_.push_back(activation && !value.storage);
    }
  }

  void run() {
    std::vector<Node> nodes = std::exchange(graph_.nodes, {});
    for (Node& node : nodes) {
      if (!is_loss(node)) continue;
      const NodeId producer = graph_.value(node.inputs[0]).producer;
      if (producer == NodeId::kNone) continue;
      node.full_precision |= nodes[static_cast<size_t>(producer)].full_precision;
    }
    // An input stays f32 where any layer reads it so: halves would round for both.
    for (const Node& node : nodes) {
      for (const ValueId id : node.inputs) {
        Value& value = graph_.value(id);
        if (!is_open(id) || value.role != ValueRole::kInput) continue;
        value.storage = node.full_precision ? Storage::kF32 : value.storage.value_or(storage_);
      }
    }
    for (const ValueId input : graph_.inputs) {
      Value& value = graph_.value(input);
      value.storage = value.storage.value_or(Storage::kF32);
    }
    for (Node& node : nodes) {
      const Storage storage = node.full_precision ? Storage::kF32 : storage_;
      for (ValueId& input : node.inputs) input = stored_as(input, storage);
      for (const ValueId output : node.outputs) {
        if (is_open(output)) graph_.value(output).storage = storage;
      }
      append(std::move(node));
    }
  }

 private:
  bool is_open(ValueId value) const { return open_[static_cast<uint32_t>(value)]; }

  void append(Node node) {
    for (const ValueId output : node.outputs) {
      graph_.value(output).producer = static_cast<NodeId>(graph_.nodes.size());
    }
    graph_.nodes.push_back(std::move(node));
  }

  // The value itself, or its conversion, which is made once.
  ValueId stored_as(ValueId value, Storage storage) {
    if (!is_open(value) || graph_.value(value).storage == storage) return value;
    const auto [at, is_new] = converted_.emplace(value, ValueId::kNone);
    if (!is_new) return at->second;
    Value copy = graph_.value(value);
    copy.name += fmt::format(" as {}", storage_name(storage));
    copy.role = ValueRole::kActivation;
    copy.storage = storage;
    at->second = static_cast<ValueId>(graph_.values.size());
    open_.push_back(false);
    std::string name = copy.name;
    graph_.values.push_back(std::move(copy));
    append({std::move(name), ConvertAttrs{storage}, {value}, {at->second}});
    return at->second;
  }

  Graph& graph_;
  Storage storage_;
  std::vector<bool> open_;                // By value: whether the graph left its storage open.
  std::map<ValueId, ValueId> converted_;  // There are two storages, so each has one other.
};

}  // namespace

Status mark_full_precision(Graph& graph, const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    bool used = false;
    for (Node& node : graph.nodes) {
      if (!matches(pattern, node.name) && !matches(pattern, layer_of(node.name))) continue;
      node.full_precision = used = true;
    }
    if (used) continue;
    const std::string first =
        graph.nodes.empty() ? "" : fmt::format("; the first is '{}'", graph.nodes[0].name);
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("no layer is named '{}', which is to be in full precision{}", pattern, first)};
  }
  return {};
}

void choose_storage(Graph& graph, Storage storage) {
  StorageChooser(graph, storage).run();
}

}  // namespace caldera
