// Storage by value: a policy for all, exceptions by name, and conversions where the two meet.
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "graph/passes/passes.h"

namespace caldera {

namespace {

// Whether `name` is `pattern`, in which '*' stands for any characters.
bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() != '*') {
    return !name.empty() && pattern.front() == name.front() &&
           matches(pattern.substr(1), name.substr(1));
  }
  for (size_t skipped = 0; skipped <= name.size(); ++skipped) {
    if (matches(pattern.substr(1), name.substr(skipped))) return true;
  }
  return false;
}

// What autodiff adds for a layer bears its name and a word or two: "layer1.0.conv1 gradient".
std::string_view layer_of(std::string_view node_name) {
  return node_name.substr(0, node_name.find(' '));
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

  Status run(const std::vector<std::string>& full_precision) {
    CALDERA_TRY(find_exceptions(full_precision));
    std::vector<Node> nodes = std::exchange(graph_.nodes, {});
    // An input is converted only where layers of both kinds read it.
    for (const ValueId input : graph_.inputs) choose(input, Storage::kF32);
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (exceptions_[i]) continue;
      for (const ValueId id : nodes[i].inputs) {
        if (graph_.value(id).role == ValueRole::kInput) choose(id, storage_);
      }
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      Node& node = nodes[i];
      const Storage storage = exceptions_[i] ? Storage::kF32 : storage_;
      for (ValueId& input : node.inputs) input = stored_as(input, storage);
      for (const ValueId output : node.outputs) choose(output, storage);
      append(std::move(node));
    }
    return {};
  }

 private:
  bool is_open(ValueId value) const { return open_[static_cast<uint32_t>(value)]; }

  // Marks the nodes that a pattern names.
  Status find_exceptions(const std::vector<std::string>& patterns) {
    exceptions_.assign(graph_.nodes.size(), false);
    for (const std::string& pattern : patterns) {
      bool used = false;
      for (size_t i = 0; i < graph_.nodes.size(); ++i) {
        const std::string_view name = graph_.nodes[i].name;
        if (!matches(pattern, name) && !matches(pattern, layer_of(name))) continue;
        exceptions_[i] = used = true;
      }
      if (used) continue;
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("no layer is named '{}', which is to be in full precision; the "
                               "first is '{}'",
                               pattern, graph_.nodes.front().name)};
    }
    return {};
  }

  void choose(ValueId value, Storage storage) {
    if (is_open(value)) graph_.value(value).storage = storage;
  }

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
  std::vector<bool> exceptions_;          // By node: whether it is in full precision.
  std::vector<bool> open_;                // By value: whether the graph left its storage open.
  std::map<ValueId, ValueId> converted_;  // There are two storages, so each has one other.
};

}  // namespace

Status choose_storage(Graph& graph, Storage storage,
                      const std::vector<std::string>& full_precision) {
  return StorageChooser(graph, storage).run(full_precision);
}

}  // namespace caldera
