// Kernel variants: the ways to run an operator. Each operator has a list, best guess first; the
// last fits everything. What is chosen is measured elsewhere; here stands what is possible.
#pragma once

#include <span>
#include <string_view>

#include "graph/dispatch.h"
#include "runtime/capabilities.h"

namespace caldera {

class Emitter;

struct KernelVariant {
  std::string_view name;  // "<operator>_<variant>"
  // Whether this device and this problem fit. Null: always.
  bool (*supported)(const Capabilities& capabilities, const Graph& graph, const Node& node);
  // Appends the dispatches for the emitter's images. Null: the output is the input's memory under
  // another shape, and nothing runs.
  void (*emit)(Emitter& emitter, const Node& node);
  // Its first input is bound as a texel buffer, which may span less than a storage buffer.
  bool texel_input = false;
};

// Bytes that a texel buffer of vectors of four floats may span.
uint64_t texel_buffer_bytes(const Capabilities& capabilities);

std::span<const KernelVariant> kernel_variants(OpKind kind);

// Each operator's list, in its <operator>_kernels.cpp.
std::span<const KernelVariant> conv2d_kernels();
std::span<const KernelVariant> batch_norm_kernels();
std::span<const KernelVariant> activation_kernels();
std::span<const KernelVariant> add_kernels();
std::span<const KernelVariant> multiply_kernels();
std::span<const KernelVariant> concat_kernels();
std::span<const KernelVariant> max_pool2d_kernels();
std::span<const KernelVariant> avg_pool2d_kernels();
std::span<const KernelVariant> adaptive_avg_pool2d_kernels();
std::span<const KernelVariant> linear_kernels();
std::span<const KernelVariant> softmax_kernels();
std::span<const KernelVariant> pad_kernels();
std::span<const KernelVariant> subsample_kernels();
std::span<const KernelVariant> flatten_kernels();
std::span<const KernelVariant> dropout_kernels();

}  // namespace caldera
