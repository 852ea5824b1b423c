#include "tests/models/architectures/hollow.h"

#include <cstdlib>
#include <new>

namespace caldera::test {

Tensor hollow_tensor(Shape shape, DType dtype) {
  const size_t size = static_cast<size_t>(element_count(shape)) * dtype_size(dtype);
  const std::shared_ptr<std::byte> zeros(static_cast<std::byte*>(std::calloc(size + 1, 1)),
                                         std::free);
  if (!zeros) throw std::bad_alloc();
  return Tensor(dtype, std::move(shape), {zeros.get(), size}, zeros);
}

Weights hollow_weights(const Graph& graph) {
  Weights weights;
  for (const Value& value : graph.values) {
    if (value.role != ValueRole::kParameter && value.role != ValueRole::kState) continue;
    if (!value.starts_at_zero) weights.emplace(value.name, hollow_tensor(value.shape));
  }
  return weights;
}

Checkpoint hollow_checkpoint(const Graph& graph) {
  Checkpoint checkpoint;
  for (const Value& value : graph.values) {
    if (value.role != ValueRole::kParameter && value.role != ValueRole::kState) continue;
    checkpoint.tensors.push_back({value.name, hollow_tensor(value.shape)});
    const std::string_view name = value.name;
    if (constexpr std::string_view kLast = "running_var"; name.ends_with(kLast)) {
      checkpoint.tensors.push_back(
          {std::string(name.substr(0, name.size() - kLast.size())) + "num_batches_tracked",
           hollow_tensor({}, DType::kI64)});
    }
  }
  return checkpoint;
}

Checkpoint renamed(Checkpoint checkpoint, const std::function<std::string(std::string)>& rename) {
  for (NamedTensor& named : checkpoint.tensors) named.name = rename(std::move(named.name));
  return checkpoint;
}

std::vector<std::string> names_of(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const NamedTensor& named : checkpoint.tensors) names.push_back(named.name);
  return names;
}

}  // namespace caldera::test
