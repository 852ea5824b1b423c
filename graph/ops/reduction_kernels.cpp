// The ways to run bias_gradient and sum_pixels, and transpose_weight, which runs nothing.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/image_runs.h"
#include "shaders/reduction/reduction_params.h"

namespace caldera {

namespace {

// Invocations that sum side by side.
uint64_t summers(const Emitter& emitter) {
  return emitter.capabilities().cpu ? 2048 : 16384;
}
constexpr uint64_t kLeastPixels = 32;

void emit_bias_gradient(Emitter& emitter, const Node& node) {
  const NodeId id = id_of(emitter.graph(), node);
  const ValueId dy = node.inputs[0];
  const ImageShape shape = emitter.shape(dy);
  const ImageRuns plan =
      plan_runs(emitter, {shape}, emitter.capabilities().max_storage_buffer_range,
                static_cast<uint64_t>(shape.pixels()), summers(emitter) / shape.c4(), kLeastPixels);
  const Binding parts = emitter.workspace(uint64_t{plan.parts()} * shape.c4() * sizeof(float[4]));
  for (const ImageRun& run : plan.runs) {
    const shader::SumPartsParams p{.pixels = run.items,
                                   .c4 = shape.c4(),
                                   .part_pixels = plan.part_items,
                                   .first_part = run.first_part};
    emitter.dispatch(id, ShaderId::sum_parts, p,
                     {emitter.activation(dy, run.first, run.count), parts},
                     uint64_t{run.parts} * shape.c4());
  }
  const shader::AddPartsParams add{.vectors = shape.c4(), .parts = plan.parts()};
  emitter.dispatch(id, ShaderId::add_parts, add, {parts, emitter.state(node.updates[0])},
                   shape.c4());
}

void emit_sum_pixels(Emitter& emitter, const Node& node) {
  const ImageShape shape = emitter.shape(node.inputs[0]);
  const shader::SumPixelsParams p{.images = emitter.images(),
                                  .pixels = static_cast<uint32_t>(shape.pixels()),
                                  .c4 = shape.c4()};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::sum_pixels, p,
                   {emitter.activation(node.inputs[0]), emitter.activation(node.output())},
                   uint64_t{p.images} * p.c4);
}

// The weight is transposed where it is packed for the kernel that reads it (Emitter::weight).
void emit_nothing(Emitter&, const Node&) {}

constexpr KernelVariant kBiasGradient[] = {
    {.name = "bias_gradient_parts", .emit = emit_bias_gradient, .whole_batch = true}};
constexpr KernelVariant kSumPixels[] = {{.name = "sum_pixels_vector", .emit = emit_sum_pixels}};
constexpr KernelVariant kTransposeWeight[] = {
    {.name = "transpose_weight_packed", .emit = emit_nothing, .whole_batch = true}};

}  // namespace

std::span<const KernelVariant> bias_gradient_kernels() {
  return kBiasGradient;
}
std::span<const KernelVariant> sum_pixels_kernels() {
  return kSumPixels;
}
std::span<const KernelVariant> transpose_weight_kernels() {
  return kTransposeWeight;
}

}  // namespace caldera
