// The table of kernel variants by operator.
#include <algorithm>
#include <array>

#include "caldera/session.h"

#include "graph/kernel.h"

namespace caldera {

namespace {

using List = std::span<const KernelVariant> (*)();

// In the order of OpKind.
constexpr std::array<List, std::variant_size_v<Attrs>> kLists = {
    conv2d_kernels,     batch_norm_kernels, activation_kernels,
    add_kernels,        multiply_kernels,   concat_kernels,
    max_pool2d_kernels, avg_pool2d_kernels, adaptive_avg_pool2d_kernels,
    linear_kernels,     softmax_kernels,    pad_kernels,
    subsample_kernels,  flatten_kernels,    dropout_kernels,
};

}  // namespace

std::span<const KernelVariant> kernel_variants(OpKind kind) {
  return kLists[static_cast<size_t>(kind)]();
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const List list : kLists) {
    for (const KernelVariant& variant : list()) names.emplace_back(variant.name);
  }
  return names;
}

}  // namespace caldera
