// What every writer checks of names, whichever the format.
#include "models/checkpoint/boundary.h"

#include <string_view>
#include <unordered_set>

#include "models/checkpoint/text.h"

namespace caldera {

Status check_names(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& named : tensors) {
    const std::string about = path.string() + ": tensor " + in_quotes(named.name);
    if (!is_utf8(named.name) || named.name == "__metadata__") {
      return Error{ErrorCode::kInvalidInput, about + " has a name that cannot be written"};
    }
    if (!names.insert(named.name).second) {
      return Error{ErrorCode::kInvalidInput, about + " is there twice"};
    }
  }
  return {};
}

}  // namespace caldera
