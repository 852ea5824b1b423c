// Binds a checkpoint's tensors to a graph's parameters and states by name, and tells everything
// that does not fit in one error, since a user who has to repair a checkpoint wants the whole list.
#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caldera/architecture.h"

namespace caldera {
namespace {

// More names of one kind of misfit than any net has tensors are a stranger's, and not all shown.
constexpr size_t kListed = 10'000;
constexpr size_t kMaxName = 128;  // Names in a file may be of any length.

std::string shown(std::string_view name) {
  return std::string(name.substr(0, kMaxName));
}

void list(std::vector<std::string>& parts, std::string_view kind,
          const std::vector<std::string>& names) {
  if (names.empty()) return;
  const size_t count = std::min(names.size(), kListed);
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(count);
  parts.push_back(fmt::format("{} {}: {}{}", names.size(), kind,
                              fmt::join(names.begin(), end, ", "),
                              names.size() > count ? " and more" : ""));
}

bool is_float(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kF16 ||
         dtype == DType::kBF16;
}

}  // namespace

Result<Weights> bind_weights(const Graph& graph, const Checkpoint& checkpoint) {
  std::vector<std::string> missing, unexpected, misshapen, mistyped, repeated;
  std::unordered_map<std::string_view, const Tensor*> given;
  for (const NamedTensor& named : checkpoint.tensors) {
    if (!given.emplace(named.name, &named.tensor).second) repeated.push_back(shown(named.name));
  }

  Weights weights;
  std::unordered_set<std::string_view> wanted;
  for (const Value& value : graph.values) {
    if (value.role != ValueRole::kParameter && value.role != ValueRole::kState) continue;
    wanted.insert(value.name);
    const auto found = given.find(value.name);
    if (found == given.end()) {
      missing.push_back(value.name);
      continue;
    }
    const Tensor& tensor = *found->second;
    if (tensor.shape() != value.shape) {
      misshapen.push_back(fmt::format("{} is {}, not {}", value.name, to_string(tensor.shape()),
                                      to_string(value.shape)));
    } else if (!is_float(tensor.dtype())) {
      mistyped.push_back(fmt::format("{} ({})", value.name, dtype_name(tensor.dtype())));
    } else {
      weights.insert_or_assign(value.name, tensor.to_f32());
    }
  }

  // Batch-norm's counter of training steps goes with its running statistics, and is not needed.
  constexpr std::string_view kCounter = "num_batches_tracked";
  for (const NamedTensor& named : checkpoint.tensors) {
    if (wanted.contains(named.name)) continue;
    std::string module = named.name;
    if (module.ends_with(kCounter)) {
      module.resize(module.size() - kCounter.size());
      if (wanted.contains(module + "running_mean")) continue;
    }
    unexpected.push_back(shown(named.name));
  }

  std::vector<std::string> parts;
  list(parts, "missing", missing);
  list(parts, "unexpected", unexpected);
  list(parts, "of another shape", misshapen);
  list(parts, "not of a floating-point type", mistyped);
  list(parts, "given twice", repeated);
  if (parts.empty()) return weights;
  return Error{ErrorCode::kInvalidInput,
               fmt::format("the tensors do not fit the network: {}", fmt::join(parts, "; "))};
}

}  // namespace caldera
