// Kernel variants: the ways to run an operator. Each operator has a list, of which the last fits
// everything. Measuring them is caldera/tuner.h's; here stands what is possible.
#pragma once

#include <span>
#include <string_view>

#include "graph/dispatch.h"
#include "runtime/capabilities.h"

namespace caldera {

class Emitter;

// What a choice of kernel depends on.
struct KernelContext {
  const Capabilities& capabilities;
  const Graph& graph;
  const Node& node;

  Storage storage() const { return storage_of(graph, node); }
  ImageShape shape(ValueId value) const { return ImageShape(graph.value(value)); }
};

struct KernelVariant {
  std::string_view name;  // "<operator>_<variant>"
  // Whether this device and this problem fit. Null: always.
  bool (*supported)(const KernelContext& context) = nullptr;
  // Appends the dispatches for the emitter's images. Null: the output is the input's memory under
  // another shape, and nothing runs.
  void (*emit)(Emitter& emitter, const Node& node) = nullptr;
  // What it loads is bound as texel buffers, which may span less than storage buffers.
  bool texels = false;
  // What it is guessed to take; guesses are compared with each other alone. Null: nothing, so that
  // it goes first, and variants without a guess in the list's order.
  double (*cost)(const KernelContext& context) = nullptr;
  // Bytes that the largest of its workspaces takes an image. Null: it has none.
  uint64_t (*workspace_image_bytes)(const KernelContext& context) = nullptr;
  // Its dispatches are of the whole batch, whose parts it binds as it likes (Emitter::activation
  // with a range): sums over the batch are so.
  bool whole_batch = false;
};

// Bytes that a texel buffer of vectors of four elements may span.
uint64_t texel_buffer_bytes(const Capabilities& capabilities, Storage storage);

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
std::span<const KernelVariant> convert_kernels();
std::span<const KernelVariant> dropout_kernels();
std::span<const KernelVariant> batch_statistics_kernels();
std::span<const KernelVariant> frozen_statistics_kernels();
std::span<const KernelVariant> normalize_kernels();
std::span<const KernelVariant> update_running_kernels();
std::span<const KernelVariant> normalize_sums_kernels();
std::span<const KernelVariant> normalize_gradient_kernels();
std::span<const KernelVariant> activation_gradient_kernels();
std::span<const KernelVariant> conv2d_weight_gradient_kernels();
std::span<const KernelVariant> bias_gradient_kernels();
std::span<const KernelVariant> transpose_weight_kernels();
std::span<const KernelVariant> upsample_zeros_kernels();
std::span<const KernelVariant> interleave_kernels();
std::span<const KernelVariant> max_pool2d_gradient_kernels();
std::span<const KernelVariant> avg_pool2d_gradient_kernels();
std::span<const KernelVariant> adaptive_avg_pool2d_gradient_kernels();
std::span<const KernelVariant> sum_pixels_kernels();
std::span<const KernelVariant> unflatten_kernels();
std::span<const KernelVariant> dropout_mask_kernels();
std::span<const KernelVariant> softmax_gradient_kernels();
std::span<const KernelVariant> cross_entropy_kernels();
std::span<const KernelVariant> cross_entropy_gradient_kernels();
std::span<const KernelVariant> gradient_norms_kernels();
std::span<const KernelVariant> optimizer_kernels();

}  // namespace caldera
