// A weight gradient is a sum over the pixels of all images: in runs of images, each in parts, which
// another dispatch adds to the gradient in a fixed order.
#include "graph/ops/weight_gradient_problem.h"

#include <algorithm>

#include "graph/ops/image_runs.h"
#include "shaders/reduction/reduction_params.h"

namespace caldera {

namespace {

constexpr uint32_t kRunOfPixels = 64;  // That a pointwise problem takes for a row.

uint64_t most_parts(const Emitter& emitter, const WeightGradientProblem& problem) {
  // All parts are one binding: half of what it spans, since each run rounds its own up.
  const uint64_t part_bytes = problem.vectors_in_all() * sizeof(float[4]);
  const uint64_t held = emitter.capabilities().max_storage_buffer_range / (2 * part_bytes);
  return std::max<uint64_t>(held, 1);
}

// `p`: all but what differs by run.
void emit_runs(Emitter& emitter, const Node& node, const WeightGradientProblem& problem,
               const ImageRuns& plan, shader::WeightGradientParams p, const EmitRun& emit_run) {
  const ValueId x = node.inputs[0];
  const ValueId dy = node.inputs[1];
  const uint64_t stride = problem.vectors_in_all();
  const Binding parts = emitter.workspace(stride * plan.parts() * sizeof(float[4]));
  for (const ImageRun& run : plan.runs) {
    p.conv.pixels = static_cast<uint32_t>(run.count * problem.dy.pixels());
    p.first_part = run.first_part;
    p.parts = run.parts;
    Dispatch& dispatch = emit_run(problem, p,
                                  {emitter.activation(x, run.first, run.count),
                                   emitter.activation(dy, run.first, run.count), parts});
    dispatch.multiply_adds = static_cast<int64_t>(
        p.conv.pixels * static_cast<uint64_t>(problem.weight[0]) *
        static_cast<uint64_t>(problem.weight[1] * problem.kernel_h() * problem.kernel_w()));
  }
  const shader::AddPartsParams add{.vectors = static_cast<uint32_t>(stride), .parts = plan.parts()};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::add_parts, add,
                   {parts, emitter.state(node.updates[0])}, stride);
}

}  // namespace

void emit_parts(Emitter& emitter, const Node& node, uint64_t most_bytes, uint64_t wanted_parts,
                const EmitRun& emit_run) {
  const WeightGradientProblem problem(emitter.graph(), node);
  shader::WeightGradientParams p{.conv = problem.conv_params()};
  const bool pointwise = problem.pointwise();
  if (pointwise) {
    p.conv.in_h = p.conv.out_h = 1;
    p.conv.in_w = p.conv.out_w = kRunOfPixels;
  }
  const ImageRuns plan =
      plan_runs(emitter, {problem.x, problem.dy}, most_bytes,
                static_cast<uint64_t>(pointwise ? problem.dy.pixels() : problem.dy.h),
                std::min(wanted_parts, most_parts(emitter, problem)), pointwise ? kRunOfPixels : 1);
  p.part_rows = pointwise ? plan.part_items / kRunOfPixels : plan.part_items;
  emit_runs(emitter, node, problem, plan, p, emit_run);
}

void emit_parts_of_pixels(Emitter& emitter, const Node& node, uint64_t wanted_parts, uint32_t step,
                          const EmitRun& emit_run) {
  const WeightGradientProblem problem(emitter.graph(), node);
  const ImageRuns plan =
      plan_runs(emitter, {problem.x, problem.dy}, emitter.capabilities().max_storage_buffer_range,
                static_cast<uint64_t>(problem.dy.pixels()),
                std::min(wanted_parts, most_parts(emitter, problem)), step);
  const shader::WeightGradientParams p{.conv = problem.conv_params(),
                                       .part_pixels = plan.part_items};
  emit_runs(emitter, node, problem, plan, p, emit_run);
}

bool parts_fit(const KernelContext& context, uint64_t most_bytes) {
  const WeightGradientProblem problem(context);
  const int64_t held = images_a_binding(context.capabilities, {problem.x, problem.dy}, most_bytes);
  if (held == 0) return false;
  const uint64_t runs = ceil_div(problem.dy.n, held);
  const uint64_t part_bytes = problem.vectors_in_all() * sizeof(float[4]);
  return runs == 1 || 2 * runs * part_bytes <= context.capabilities.max_storage_buffer_range;
}

uint64_t parts_for(uint64_t wanted, uint64_t tiles) {
  return std::max<uint64_t>(1, wanted / std::max<uint64_t>(1, tiles));
}

}  // namespace caldera
