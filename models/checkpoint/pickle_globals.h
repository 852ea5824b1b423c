// The only names that a pickle may ask for, and what the machine makes of each. None is executed:
// a name is a row of this table, and a call on it builds a plain value or is an error. What has no
// row is refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "caldera/tensor.h"

namespace caldera {

enum class GlobalKind : uint8_t {
  kDict,  // OrderedDict and its kin: called with nothing, a dict, or pairs.
  kList,
  kTuple,  // torch.Size too.
  kSet,
  kOpaque,            // A constant, or a type whose instances are of no use here.
  kStorageType,       // torch.FloatStorage, ...
  kDType,             // torch.float32, ...
  kRebuildTensor,     // (storage, offset, size, stride, ...)
  kRebuildTensorV3,   // The same, with the dtype apart, as the seventh.
  kRebuildParameter,  // (tensor, ...)
  kRebuildFromType,   // (function, type, arguments, state)
};

struct ElementType {
  size_t size;                 // Bytes.
  std::optional<DType> dtype;  // Empty: known by its size alone (complex, quantized, ...).
};

struct Global {
  std::string_view name;  // "torch._utils._rebuild_tensor_v2"
  GlobalKind kind;
  ElementType element = {0, std::nullopt};  // Of storage types and dtypes.
};

// Null where the name is not on the list. The rows live for ever.
const Global* find_global(std::string_view module, std::string_view name);

}  // namespace caldera
