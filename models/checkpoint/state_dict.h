// From a pickle's values to named tensors: finds the state_dict in what wraps it, and gives each
// tensor its bytes. Common to PyTorch's two formats, which differ in where a storage's bytes lie.
#pragma once

#include <string>
#include <vector>

#include "caldera/checkpoint.h"

#include "models/checkpoint/input_file.h"
#include "models/checkpoint/pickle.h"

namespace caldera {

// Where a format keeps the bytes of its storages. Errors name no file.
class StorageSource {
 public:
  virtual ~StorageSource() = default;
  // The bytes of a storage, read once however many tensors view it; at least as many as it counts.
  virtual Result<SharedBytes> read(const PickleDocument& document, const StorageRef& storage) = 0;
};

struct StateDict {
  std::vector<NamedTensor> tensors;
  std::string wrapper;  // The keys passed through, joined by dots.
};

// `file_size` bounds what may be allocated: tensors' bytes together stay within a small multiple of
// it, and so does what is copied to make strided views dense. Errors name no file.
Result<StateDict> read_state_dict(const PickleDocument& document, StorageSource& storages,
                                  uint64_t file_size);

}  // namespace caldera
