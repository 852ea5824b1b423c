// What the pickle machine makes of a call on a name of the allow-list, of a persistent id (a
// storage, in PyTorch's files), and the check that a document is a tree or shares its branches, but
// never bites its tail.
#pragma once

#include <string>
#include <string_view>

#include "models/checkpoint/pickle.h"

namespace caldera {

Error pickle_error(std::string what);
// "asks for os.system, ..."
Error refused_global(std::string_view module, std::string_view name);

// A call may copy what a few bytes refer to, again and again; all that copy pay from one budget,
// which begins at the pickle's size in bytes. An honest file writes more bytes than it spends.
class CopyBudget {
 public:
  explicit CopyBudget(uint64_t bytes) : left_(bytes) {}
  Status spend(uint64_t amount);

 private:
  uint64_t left_;
};

Result<PickleValue> call_global(const PickleDocument& document, ValueId function, ValueId arguments,
                                CopyBudget& budget);
// PyTorch's ('storage', type, key, location, count[, view]).
Result<PickleValue> resolve_persistent_id(const PickleDocument& document, ValueId id,
                                          CopyBudget& budget);

Status check_acyclic(const PickleDocument& document);

}  // namespace caldera
