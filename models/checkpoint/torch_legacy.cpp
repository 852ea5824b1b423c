// A storage's size in bytes is known only from its type in the object's pickle, so the storages are
// walked once for their offsets, and read when a tensor asks.
#include "models/checkpoint/torch_legacy.h"

#include <unordered_map>

#include "models/checkpoint/byte_reader.h"
#include "models/checkpoint/pickle_calls.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace {

// 0x1950a86a20f9469cfc6c, little-endian.
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kProtocol = 1001;

class LegacyStorages : public StorageSource {
 public:
  explicit LegacyStorages(InputFile& file) : file_(file) {}

  // Finds every storage from `offset` on. `keys` is the file's list, in its order.
  Status locate(const PickleDocument& document, const PickleDocument& keys, uint64_t offset) {
    struct Type {
      size_t element;
      int64_t count;
    };
    std::unordered_map<std::string_view, Type> types;
    for (const PickleValue& value : document.values) {
      const auto* pointer = std::get_if<std::unique_ptr<StorageRef>>(&value);
      if (pointer == nullptr) continue;
      const StorageRef& storage = **pointer;
      const std::string& key = *document.get<std::string>(storage.key);
      const Type type{storage.type->element.size, storage.count};
      const auto [found, added] = types.emplace(key, type);
      if (!added && (found->second.element != type.element || found->second.count != type.count)) {
        return pickle_error("storage " + in_quotes(key) + " is of two types or sizes");
      }
    }
    const auto* list = keys.get<PickleList>(keys.root);
    if (list == nullptr) return pickle_error("has no list of its storages");
    for (const ValueId id : list->items) {
      const auto* key = keys.get<std::string>(id);
      const auto type = key ? types.find(*key) : types.end();
      if (type == types.end()) return pickle_error("has a storage that no tensor uses");
      ByteReader reader(file_, offset);
      uint64_t count = 0, size = 0;
      if (!reader.read_uint(8, count)) return pickle_error("is cut short");
      if (count != static_cast<uint64_t>(type->second.count)) {
        return pickle_error("storage " + in_quotes(*key) +
                            " has another size than its tensors say");
      }
      if (__builtin_mul_overflow(count, type->second.element, &size) || size > reader.remaining()) {
        return pickle_error("is cut short");
      }
      if (!places_.emplace(*key, Place{reader.offset(), size, {}}).second) {
        return pickle_error("storage " + in_quotes(*key) + " is there twice");
      }
      offset = reader.offset() + size;
    }
    if (offset != file_.size()) return pickle_error("goes on after its last storage");
    return {};
  }

  Result<SharedBytes> read(const PickleDocument& document, const StorageRef& storage) override {
    const std::string& key = *document.get<std::string>(storage.key);
    const auto found = places_.find(key);
    if (found == places_.end()) {
      return pickle_error("storage " + in_quotes(key) + " is not in the file");
    }
    Place& place = found->second;
    if (!place.bytes.owner) {
      // Lengths of names decide where it lies. One copy of the whole, so that tensors still share.
      CALDERA_TRY_ASSIGN(place.bytes,
                         file_.view(place.offset, place.size, storage.type->element.size));
    }
    SharedBytes bytes = place.bytes;
    if (storage.is_view) {  // Within its storage, as the pickle's reader has checked.
      const size_t element = storage.type->element.size;
      bytes.bytes = bytes.bytes.subspan(static_cast<size_t>(storage.view_offset) * element,
                                        static_cast<size_t>(storage.view_count) * element);
    }
    return bytes;
  }

 private:
  struct Place {
    uint64_t offset, size;
    SharedBytes bytes;  // Empty until asked for.
  };

  InputFile& file_;
  std::unordered_map<std::string, Place> places_;
};

Status check_system(const PickleDocument& system) {
  const auto* dict = system.get<PickleDict>(system.root);
  if (dict == nullptr) return pickle_error("does not say what system wrote it");
  for (const auto& [key, value] : dict->items) {
    const auto* name = system.get<std::string>(key);
    const auto* flag = system.get<bool>(value);
    if (name && *name == "little_endian" && flag && !*flag) {
      return pickle_error("was saved on a big-endian machine; save it again in the zip format");
    }
  }
  return {};
}

Result<StateDict> read_pickles(InputFile& file) {
  ByteReader reader(file, 0);
  CALDERA_TRY_ASSIGN(const PickleDocument magic, read_pickle(reader));
  const auto* number = magic.get<PickleBigInt>(magic.root);
  if (number == nullptr || number->bytes != kMagic) {
    return pickle_error("is a pickle, but none that torch.save wrote");
  }
  CALDERA_TRY_ASSIGN(const PickleDocument protocol, read_pickle(reader));
  const auto* version = protocol.get<int64_t>(protocol.root);
  if (version == nullptr || *version != kProtocol) {
    return pickle_error("is of a version of the legacy format that is not known");
  }
  CALDERA_TRY_ASSIGN(const PickleDocument system, read_pickle(reader));
  CALDERA_TRY(check_system(system));
  CALDERA_TRY_ASSIGN(const PickleDocument document, read_pickle(reader));
  CALDERA_TRY_ASSIGN(const PickleDocument keys, read_pickle(reader));
  LegacyStorages storages(file);
  CALDERA_TRY(storages.locate(document, keys, reader.offset()));
  return read_state_dict(document, storages, file.size());
}

}  // namespace

Result<StateDict> read_torch_legacy(InputFile& file) {
  auto result = read_pickles(file);
  if (!result.ok()) return file.error(result.error().message, result.error().code);
  return result;
}

}  // namespace caldera
