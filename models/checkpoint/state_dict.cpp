// Unwrapping a checkpoint, and views of storages as dense tensors.
#include "models/checkpoint/state_dict.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "models/checkpoint/byte_count.h"
#include "models/checkpoint/pickle_calls.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace {

// In the order of preference: the weights as trained before an average of them.
constexpr std::string_view kWrappers[] = {
    "state_dict", "model_state_dict", "model_state", "model",          "net",
    "network",    "weights",          "module",      "state_dict_ema", "model_ema",
    "ema_model",  "ema_state_dict",   "ema",
};
constexpr size_t kMaxWrappers = 4;

// Tied weights are written once and counted twice; what counts far more than its file is a bomb.
constexpr uint64_t kMaxExpansion = 4;

bool holds_tensors(const PickleDocument& document, const PickleDict& dict) {
  return std::ranges::any_of(dict.items, [&](const auto& item) {
    return document.get<std::string>(item.first) &&
           document.get<std::unique_ptr<TensorRef>>(item.second);
  });
}

// The dictionary to look into next, and its key.
struct Step {
  std::string key;
  const PickleDict* dict = nullptr;
};

Step find_wrapper(const PickleDocument& document, const PickleDict& dict) {
  // First what holds tensors itself, then what may hold another wrapper.
  for (const bool directly : {true, false}) {
    for (const std::string_view wrapper : kWrappers) {
      for (const auto& [key, value] : dict.items) {
        const auto* name = document.get<std::string>(key);
        const auto* inner = document.get<PickleDict>(value);
        if (!name || !inner || *name != wrapper || inner->items.empty()) continue;
        if (!directly || holds_tensors(document, *inner)) return {*name, inner};
      }
    }
    // A bare state_dict goes before anything indirect in it.
    if (directly && holds_tensors(document, dict)) return {};
  }
  // A wrapper of another name, where only one thing can be meant.
  Step only;
  for (const auto& [key, value] : dict.items) {
    const auto* name = document.get<std::string>(key);
    const auto* inner = document.get<PickleDict>(value);
    if (!name || !inner || !holds_tensors(document, *inner)) continue;
    if (only.dict) return {};
    only = {*name, inner};
  }
  return only;
}

std::string list_keys(const PickleDocument& document, const PickleDict& dict) {
  std::string list;
  size_t count = 0;
  for (const auto& [key, value] : dict.items) {
    const auto* name = document.get<std::string>(key);
    if (name == nullptr) continue;
    if (++count > 8) return list + ", ...";
    list += (list.empty() ? "" : ", ") + in_quotes(*name);
  }
  return list.empty() ? "none" : list;
}

bool is_contiguous(const TensorRef& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.sizes.size(); i-- > 0;) {
    if (tensor.sizes[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.sizes[i];
  }
  return true;
}

// The index of the last element that a view of at least one element reaches; empty where that
// overflows or a stride is negative.
std::optional<uint64_t> last_index(const TensorRef& tensor) {
  auto last = static_cast<uint64_t>(tensor.offset);
  for (size_t i = 0; i < tensor.sizes.size(); ++i) {
    if (tensor.sizes[i] == 1) continue;
    uint64_t reach = 0;
    if (tensor.strides[i] < 0 ||
        __builtin_mul_overflow(static_cast<uint64_t>(tensor.sizes[i] - 1),
                               static_cast<uint64_t>(tensor.strides[i]), &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return std::nullopt;
    }
  }
  return last;
}

// Copies a strided view, in row-major order.
SharedBytes gather(const TensorRef& tensor, std::span<const std::byte> storage, size_t element,
                   uint64_t count) {
  NewBytes dense = allocate_shared_bytes(static_cast<size_t>(count) * element);
  const size_t rank = tensor.sizes.size();
  std::vector<int64_t> index(rank, 0);
  auto source = static_cast<uint64_t>(tensor.offset);
  std::byte* out = dense.bytes.data();
  for (uint64_t i = 0; i < count; ++i, out += element) {
    std::memcpy(out, storage.data() + source * element, element);
    for (size_t axis = rank; axis-- > 0;) {
      const auto stride = static_cast<uint64_t>(tensor.strides[axis]);
      source += stride;
      if (++index[axis] < tensor.sizes[axis]) break;
      source -= stride * static_cast<uint64_t>(tensor.sizes[axis]);
      index[axis] = 0;
    }
  }
  return dense;
}

SharedBytes copy_of(std::span<const std::byte> bytes) {
  NewBytes copy = allocate_shared_bytes(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.bytes.begin());
  return copy;
}

class TensorReader {
 public:
  TensorReader(const PickleDocument& document, StorageSource& storages, uint64_t file_size)
      : document_(document), storages_(storages), budget_(file_size * kMaxExpansion) {}

  Result<Tensor> read(const std::string& name, const TensorRef& tensor) {
    const auto error = [&](const std::string& what) {
      return pickle_error("tensor " + in_quotes(name) + " " + what);
    };
    const StorageRef& storage = **document_.get<std::unique_ptr<StorageRef>>(tensor.storage);
    const Global& type = tensor.dtype ? *tensor.dtype : *storage.type;
    if (!type.element.dtype) {
      return error("has elements of " + std::string(type.name) + ", which Caldera does not read");
    }
    const size_t element = type.element.size;
    const auto size = byte_count(tensor.sizes, element);
    if (!size || tensor.offset < 0) return error("has an impossible shape");

    auto bytes = storages_.read(document_, storage);
    if (!bytes.ok()) return error("has no data: " + bytes.error().message);
    const SharedBytes data = std::move(bytes).value();
    const uint64_t available = data.bytes.size() / element;
    const uint64_t count = *size / element;
    if (count == 0) return Tensor(*type.element.dtype, tensor.sizes, {}, data.owner);

    const auto last = last_index(tensor);
    if (!last || *last >= available) return error("reaches beyond its storage");
    if (count > available) {
      return error("is an expanded view of less data; save a copy of it (clone, contiguous)");
    }
    if (*size > budget_) {
      return error("is one of many views of the same data, more than the file's size justifies");
    }
    budget_ -= *size;
    if (is_contiguous(tensor)) {
      const auto view = data.bytes.subspan(static_cast<size_t>(tensor.offset) * element, *size);
      // A view of bytes, as of another type, may start anywhere.
      if (reinterpret_cast<uintptr_t>(view.data()) % element == 0) {
        return Tensor(*type.element.dtype, tensor.sizes, view, data.owner);
      }
      const SharedBytes aligned = copy_of(view);
      return Tensor(*type.element.dtype, tensor.sizes, aligned.bytes, aligned.owner);
    }
    const SharedBytes dense = gather(tensor, data.bytes, element, count);
    return Tensor(*type.element.dtype, tensor.sizes, dense.bytes, dense.owner);
  }

 private:
  const PickleDocument& document_;
  StorageSource& storages_;
  uint64_t budget_;
};

}  // namespace

Result<StateDict> read_state_dict(const PickleDocument& document, StorageSource& storages,
                                  uint64_t file_size) {
  if (document.get<std::unique_ptr<TensorRef>>(document.root)) {
    return pickle_error("holds a single tensor; a state_dict is needed");
  }
  const auto* dict = document.get<PickleDict>(document.root);
  if (dict == nullptr) return pickle_error("holds no dictionary; a state_dict is needed");

  StateDict result;
  for (size_t depth = 0;; ++depth) {
    const Step step = depth < kMaxWrappers ? find_wrapper(document, *dict) : Step{};
    if (step.dict == nullptr) break;
    result.wrapper += (result.wrapper.empty() ? "" : ".") + step.key;
    dict = step.dict;
  }

  TensorReader reader(document, storages, file_size);
  std::unordered_set<std::string_view> names;
  for (const auto& [key, value] : dict->items) {
    const auto* name = document.get<std::string>(key);
    const auto* tensor = document.get<std::unique_ptr<TensorRef>>(value);
    if (!name || !tensor) continue;  // An epoch, _extra_state, ...
    if (!is_utf8(*name))
      return pickle_error("tensor " + in_quotes(*name) + " has a name not UTF-8");
    if (!names.insert(*name).second)
      return pickle_error("tensor " + in_quotes(*name) + " is there twice");
    CALDERA_TRY_ASSIGN(Tensor read, reader.read(*name, **tensor));
    result.tensors.push_back({*name, std::move(read)});
  }
  if (result.tensors.empty()) {
    const std::string where = result.wrapper.empty() ? "" : " in " + in_quotes(result.wrapper);
    return pickle_error("holds no state_dict of tensors" + where +
                        "; its keys are: " + list_keys(document, *dict));
  }
  return result;
}

}  // namespace caldera
