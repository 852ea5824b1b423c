// Calls without calling: each builds a plain value from its arguments, or is an error.
#include "models/checkpoint/pickle_calls.h"

#include <optional>

#include "models/checkpoint/text.h"

namespace caldera {

namespace {

constexpr size_t kMaxRank = 64;  // As PyTorch has it.
// What a tensor or storage costs of the budget; to write one takes more bytes.
constexpr uint64_t kReferenceCost = 8;

std::optional<std::vector<int64_t>> integers(const PickleDocument& document, ValueId id) {
  const std::vector<ValueId>* items = nullptr;
  if (const auto* tuple = document.get<PickleTuple>(id)) items = &tuple->items;
  if (const auto* list = document.get<PickleList>(id)) items = &list->items;
  if (items == nullptr || items->size() > kMaxRank) return std::nullopt;
  std::vector<int64_t> values;
  for (const ValueId item : *items) {
    const auto* value = document.get<int64_t>(item);
    if (value == nullptr) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

Result<PickleValue> rebuild_tensor(const PickleDocument& document, const Global& function,
                                   const std::vector<ValueId>& arguments, CopyBudget& budget) {
  const bool has_dtype = function.kind == GlobalKind::kRebuildTensorV3;
  const Error malformed =
      pickle_error("its pickle holds a tensor that " + std::string(function.name) + " cannot make");
  if (arguments.size() < (has_dtype ? 7u : 4u)) return malformed;
  const auto* offset = document.get<int64_t>(arguments[1]);
  auto sizes = integers(document, arguments[2]);
  auto strides = integers(document, arguments[3]);
  if (!document.get<std::unique_ptr<StorageRef>>(arguments[0]) || !offset || !sizes || !strides ||
      sizes->size() != strides->size()) {
    return malformed;
  }
  CALDERA_TRY(budget.spend(kReferenceCost + sizes->size() + strides->size()));
  auto tensor = std::make_unique<TensorRef>();
  if (has_dtype) {
    const auto* dtype = document.get<const Global*>(arguments[6]);
    if (dtype == nullptr || (*dtype)->kind != GlobalKind::kDType) return malformed;
    tensor->dtype = *dtype;
  }
  tensor->storage = arguments[0];
  tensor->offset = *offset;
  tensor->sizes = std::move(*sizes);
  tensor->strides = std::move(*strides);
  return PickleValue(std::move(tensor));
}

// dict(), dict(mapping), dict(pairs), defaultdict(factory[, mapping]).
Result<PickleValue> make_dict(const PickleDocument& document, const std::vector<ValueId>& arguments,
                              CopyBudget& budget) {
  PickleDict dict;
  for (const ValueId argument : arguments) {
    if (const auto* mapping = document.get<PickleDict>(argument)) {
      CALDERA_TRY(budget.spend(mapping->items.size()));
      dict = *mapping;
    } else if (const auto* pairs = document.get<PickleList>(argument)) {
      CALDERA_TRY(budget.spend(pairs->items.size()));
      for (const ValueId pair : pairs->items) {
        const auto* as_tuple = document.get<PickleTuple>(pair);
        const auto* as_list = document.get<PickleList>(pair);
        const auto* items = as_tuple ? &as_tuple->items : as_list ? &as_list->items : nullptr;
        if (!items || items->size() != 2) {
          return pickle_error("its pickle makes a dictionary of what are no pairs");
        }
        dict.items.emplace_back((*items)[0], (*items)[1]);
      }
    } else if (!document.get<const Global*>(argument) && !document.get<PickleNone>(argument)) {
      return pickle_error("its pickle makes a dictionary of what is none");
    }
  }
  return PickleValue(std::move(dict));
}

// list(), list(items), and likewise tuple, set and torch.Size.
template <typename Container>
Result<PickleValue> make_sequence(const PickleDocument& document,
                                  const std::vector<ValueId>& arguments, CopyBudget& budget) {
  Container container;
  if (arguments.empty()) return PickleValue(std::move(container));
  const std::vector<ValueId>* items = nullptr;
  if (const auto* list = document.get<PickleList>(arguments[0])) items = &list->items;
  if (const auto* tuple = document.get<PickleTuple>(arguments[0])) items = &tuple->items;
  if (const auto* set = document.get<PickleSet>(arguments[0])) items = &set->items;
  if (items == nullptr) return pickle_error("its pickle makes a list of what is none");
  CALDERA_TRY(budget.spend(items->size()));
  container.items = *items;
  return PickleValue(std::move(container));
}

}  // namespace

Error pickle_error(std::string what) {
  return {ErrorCode::kInvalidInput, std::move(what)};
}

Error refused_global(std::string_view module, std::string_view name) {
  const std::string full = printable(std::string(module) + "." + std::string(name));
  if (module == "torch._utils" && name == "_rebuild_qtensor") {
    return pickle_error("holds a quantized tensor (" + full + "); dequantize it before saving");
  }
  return pickle_error("asks for " + full +
                      ", which is not part of a tensor file; refusing to load it "
                      "(of a model of your own, save state_dict() alone)");
}

Status CopyBudget::spend(uint64_t amount) {
  if (amount > left_) return pickle_error("its pickle makes more than its size justifies");
  left_ -= amount;
  return {};
}

Result<PickleValue> call_global(const PickleDocument& document, ValueId function, ValueId arguments,
                                CopyBudget& budget) {
  const auto* global = document.get<const Global*>(function);
  const auto* tuple = document.get<PickleTuple>(arguments);
  if (!global || !tuple) return pickle_error("its pickle calls what is no function");
  const std::vector<ValueId>* items = &tuple->items;
  if ((*global)->kind == GlobalKind::kRebuildFromType) {
    // A tensor with attributes: its function, and the arguments of that, stand in ours.
    const auto* inner = items->size() >= 3 ? document.get<const Global*>((*items)[0]) : nullptr;
    const auto* inner_arguments = inner ? document.get<PickleTuple>((*items)[2]) : nullptr;
    if (!inner_arguments) return pickle_error("its pickle calls what is no function");
    global = inner;
    items = &inner_arguments->items;
  }
  switch ((*global)->kind) {
    case GlobalKind::kRebuildTensor:
    case GlobalKind::kRebuildTensorV3:
      return rebuild_tensor(document, **global, *items, budget);
    case GlobalKind::kRebuildParameter: {
      const auto* tensor =
          items->empty() ? nullptr : document.get<std::unique_ptr<TensorRef>>((*items)[0]);
      if (!tensor) return pickle_error("its pickle makes a parameter of what is no tensor");
      CALDERA_TRY(budget.spend(kReferenceCost + 2 * (*tensor)->sizes.size()));
      return PickleValue(std::make_unique<TensorRef>(**tensor));
    }
    case GlobalKind::kDict:
      return make_dict(document, *items, budget);
    case GlobalKind::kList:
      return make_sequence<PickleList>(document, *items, budget);
    case GlobalKind::kTuple:
      return make_sequence<PickleTuple>(document, *items, budget);
    case GlobalKind::kSet:
      return make_sequence<PickleSet>(document, *items, budget);
    case GlobalKind::kOpaque:
      return PickleValue(PickleOpaque{});
    case GlobalKind::kStorageType:
    case GlobalKind::kDType:
    case GlobalKind::kRebuildFromType:
      break;
  }
  return pickle_error("its pickle calls " + std::string((*global)->name) +
                      ", which is no function");
}

Result<PickleValue> resolve_persistent_id(const PickleDocument& document, ValueId id,
                                          CopyBudget& budget) {
  const Error malformed = pickle_error("its pickle refers to a storage in a way not known");
  const auto* tuple = document.get<PickleTuple>(id);
  if (!tuple || tuple->items.size() < 5) return malformed;
  const auto& items = tuple->items;
  const auto* tag = document.get<std::string>(items[0]);
  const auto* type = document.get<const Global*>(items[1]);
  const auto* key = document.get<std::string>(items[2]);
  const auto* count = document.get<int64_t>(items[4]);
  if (!tag || *tag != "storage" || !type || (*type)->kind != GlobalKind::kStorageType || !key ||
      !count || *count < 0) {
    return malformed;
  }
  CALDERA_TRY(budget.spend(kReferenceCost));
  auto storage = std::make_unique<StorageRef>();
  storage->type = *type;
  storage->key = items[2];
  storage->count = *count;
  if (items.size() > 5 && !document.get<PickleNone>(items[5])) {
    // The legacy format's view of a storage: (its own key, offset, count).
    const auto* view = document.get<PickleTuple>(items[5]);
    if (!view || view->items.size() != 3) return malformed;
    const auto* view_offset = document.get<int64_t>(view->items[1]);
    const auto* view_count = document.get<int64_t>(view->items[2]);
    if (!view_offset || !view_count || *view_offset < 0 || *view_count < 0 ||
        *view_offset > *count || *view_count > *count - *view_offset) {
      return malformed;
    }
    storage->is_view = true;
    storage->view_offset = *view_offset;
    storage->view_count = *view_count;
  }
  return PickleValue(std::move(storage));
}

Status check_acyclic(const PickleDocument& document) {
  enum class Mark : uint8_t { kUnseen, kOpen, kDone };
  struct Frame {
    ValueId id;
    size_t next;
  };
  std::vector<Mark> marks(document.values.size(), Mark::kUnseen);
  std::vector<Frame> path{{document.root, 0}};
  marks[document.root] = Mark::kOpen;
  // The child at `index` of a container; nothing behind the last.
  const auto child = [&](ValueId id, size_t index) -> std::optional<ValueId> {
    const std::vector<ValueId>* items = nullptr;
    if (const auto* dict = document.get<PickleDict>(id)) {
      if (index / 2 >= dict->items.size()) return std::nullopt;
      const auto& [key, value] = dict->items[index / 2];
      return index % 2 == 0 ? key : value;
    }
    if (const auto* tuple = document.get<PickleTuple>(id)) items = &tuple->items;
    if (const auto* list = document.get<PickleList>(id)) items = &list->items;
    if (const auto* set = document.get<PickleSet>(id)) items = &set->items;
    if (items == nullptr || index >= items->size()) return std::nullopt;
    return (*items)[index];
  };
  while (!path.empty()) {
    const auto next = child(path.back().id, path.back().next++);
    if (!next) {
      marks[path.back().id] = Mark::kDone;
      path.pop_back();
    } else if (marks[*next] == Mark::kOpen) {
      return pickle_error("its pickle holds a container that contains itself");
    } else if (marks[*next] == Mark::kUnseen) {
      marks[*next] = Mark::kOpen;
      path.push_back({*next, 0});
    }
  }
  return {};
}

}  // namespace caldera
