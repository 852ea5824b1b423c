// The ways to run conv2d_weight_gradient: each sums over runs of output rows into parts, which
// another dispatch adds to the gradient.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/conv2d_subgroup_kernels.h"
#include "graph/ops/image_runs.h"
#include "shaders/conv2d/weight_gradient_params.h"
#include "shaders/reduction/reduction_params.h"

namespace caldera {

namespace {

// What a node states: x, dy and the weight's shape, [O, I / groups, KH, KW].
struct Problem {
  const Conv2dWeightGradientAttrs& attrs;
  ImageShape x;
  ImageShape dy;
  const Shape& weight;

  Problem(const Graph& graph, const Node& node, Precision precision)
      : attrs(std::get<Conv2dWeightGradientAttrs>(node.attrs)),
        x(graph.value(node.inputs[0]).shape, precision),
        dy(graph.value(node.inputs[1]).shape, precision),
        weight(graph.value(node.updates[0]).shape) {}
  explicit Problem(const KernelContext& context)
      : Problem(context.graph, context.node, context.precision) {}

  uint32_t kernel_h() const { return weight.size() == 4 ? static_cast<uint32_t>(weight[2]) : 1; }
  uint32_t kernel_w() const { return weight.size() == 4 ? static_cast<uint32_t>(weight[3]) : 1; }
  uint32_t in4() const { return vectors(weight[1]); }
  // Vectors of a filter.
  uint32_t places() const { return kernel_h() * kernel_w() * in4(); }
  uint64_t vectors_in_all() const { return static_cast<uint64_t>(weight[0]) * places(); }
  bool padded() const { return attrs.padding.h > 0 || attrs.padding.w > 0; }
  // Pixels of x and dy lie side by side, whatever rows they are in.
  bool pointwise() const {
    return kernel_h() == 1 && kernel_w() == 1 && attrs.stride == Size2d{} && !padded();
  }
};

constexpr uint32_t kRunOfPixels = 64;  // That a pointwise problem takes for a row.

shader::Conv2dParams params(const Problem& problem) {
  const Conv2dWeightGradientAttrs& attrs = problem.attrs;
  shader::Conv2dParams p{
      .in_h = static_cast<uint32_t>(problem.x.h),
      .in_w = static_cast<uint32_t>(problem.x.w),
      .in_c4 = problem.x.c4(),
      .out_h = static_cast<uint32_t>(problem.dy.h),
      .out_w = static_cast<uint32_t>(problem.dy.w),
      .out_c4 = problem.dy.c4(),
      .out_c = static_cast<uint32_t>(problem.dy.c),
      .kernel_h = problem.kernel_h(),
      .kernel_w = problem.kernel_w(),
      .stride_h = static_cast<uint32_t>(attrs.stride.h),
      .stride_w = static_cast<uint32_t>(attrs.stride.w),
      .pad_h = static_cast<uint32_t>(attrs.padding.h),
      .pad_w = static_cast<uint32_t>(attrs.padding.w),
      .dilation_h = static_cast<uint32_t>(attrs.dilation.h),
      .dilation_w = static_cast<uint32_t>(attrs.dilation.w),
      .group_in = static_cast<uint32_t>(problem.weight[1]),
      .group_out = static_cast<uint32_t>(problem.weight[0] / attrs.groups),
  };
  if (problem.pointwise()) {
    p.in_h = p.out_h = 1;
    p.in_w = p.out_w = kRunOfPixels;
  }
  return p;
}

// Shared by the variants: emit_run(params, bindings) appends the dispatch of one run of images,
// which sums params.parts parts.
template <typename EmitRun>
void emit_parts(Emitter& emitter, const Node& node, uint64_t most_bytes, uint64_t wanted_parts,
                EmitRun emit_run) {
  const Problem problem(emitter.graph(), node, emitter.precision());
  const ValueId x = node.inputs[0];
  const ValueId dy = node.inputs[1];
  shader::WeightGradientParams p{.conv = params(problem)};
  // Rows are counted for the whole run below, where they are runs of pixels.
  const bool pointwise = problem.pointwise();
  const auto image_pixels = static_cast<uint64_t>(problem.dy.pixels());
  const uint64_t stride = problem.vectors_in_all();
  // All parts are one binding: half of what it spans, since each run rounds its own up.
  const uint64_t most_parts =
      emitter.capabilities().max_storage_buffer_range / (2 * stride * sizeof(float[4]));
  wanted_parts = std::clamp<uint64_t>(wanted_parts, 1, std::max<uint64_t>(most_parts, 1));
  const ImageRuns plan = plan_runs(emitter, {problem.x, problem.dy}, most_bytes,
                                   pointwise ? image_pixels : static_cast<uint64_t>(problem.dy.h),
                                   wanted_parts, pointwise ? kRunOfPixels : 1);
  p.part_rows = pointwise ? plan.part_items / kRunOfPixels : plan.part_items;
  const Binding parts = emitter.workspace(stride * plan.parts() * sizeof(float[4]));
  for (const ImageRun& run : plan.runs) {
    p.conv.pixels = static_cast<uint32_t>(static_cast<uint64_t>(run.count) * image_pixels);
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

// Parts so many that there are `wanted` of them times `tiles` in all.
uint64_t parts_for(uint64_t wanted, uint64_t tiles) {
  return std::max<uint64_t>(1, wanted / std::max<uint64_t>(1, tiles));
}

// conv2d_weight_gradient_subgroup
constexpr uint64_t kSubgroups = 64;
constexpr uint32_t kStep = 8;  // Pixels.

// Vectors of output channels that a tile holds.
uint32_t tile_blocks(const Problem& problem) {
  const int64_t group_out = problem.weight[0] / problem.attrs.groups;
  return group_out % 32 == 0 || (problem.attrs.groups == 1 && group_out > 64) ? 8 : 4;
}

uint64_t subgroup_tiles(const Problem& problem, uint32_t lanes) {
  return ceil_div(problem.places(), lanes) *
         ceil_div(static_cast<uint64_t>(problem.weight[0]), tile_blocks(problem) * 4);
}

bool subgroup_supported(const KernelContext& context) {
  const Problem problem(context);
  const bool groups_are_whole =
      problem.attrs.groups == 1 ||
      (problem.weight[1] % 4 == 0 && problem.weight[0] / problem.attrs.groups % 16 == 0);
  const uint64_t most = texel_buffer_bytes(context.capabilities, context.precision);
  return subgroups_fit(context.capabilities) && groups_are_whole &&
         images_a_binding(context.capabilities, {problem.x, problem.dy}, most) > 0;
}

void emit_subgroup(Emitter& emitter, const Node& node) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const Problem whole(emitter.graph(), node, emitter.precision());
  const uint64_t tiles = subgroup_tiles(whole, lanes);
  const uint32_t blocks = tile_blocks(whole);
  const uint32_t pixels = lanes / blocks;  // That one load takes.
  emit_parts(emitter, node, texel_buffer_bytes(emitter.capabilities(), emitter.precision()),
             parts_for(kSubgroups, tiles),
             [&](const Problem& problem, const shader::WeightGradientParams& p,
                 std::vector<Binding> bindings) -> Dispatch& {
               Dispatch& dispatch = emitter.dispatch(
                   id_of(emitter.graph(), node), ShaderId::weight_gradient_subgroup, p,
                   std::move(bindings), tiles * p.parts * lanes, lanes);
               dispatch.constants.insert(
                   dispatch.constants.end(),
                   {blocks, pixels, std::max(kStep / pixels, 1u), uint32_t{problem.padded()}});
               dispatch.required_subgroup_size = lanes;
               return dispatch;
             });
}

double subgroup_cost(const KernelContext& context) {
  const Problem problem(context);
  const uint32_t lanes = context.capabilities.subgroup_size;
  const auto tiles = static_cast<double>(subgroup_tiles(problem, lanes));
  const auto pixels = static_cast<double>(problem.dy.n * problem.dy.pixels());
  return guessed_seconds(context.capabilities, tiles, pixels * lanes * 16 * tile_blocks(problem),
                         kWeightGradientRate);
}

// conv2d_weight_gradient_direct
constexpr uint64_t kInvocations = 4096;

void emit_direct(Emitter& emitter, const Node& node) {
  const Problem whole(emitter.graph(), node, emitter.precision());
  emit_parts(emitter, node, emitter.capabilities().max_storage_buffer_range,
             parts_for(kInvocations, whole.vectors_in_all()),
             [&](const Problem& problem, const shader::WeightGradientParams& p,
                 std::vector<Binding> bindings) -> Dispatch& {
               return emitter.dispatch(id_of(emitter.graph(), node),
                                       ShaderId::weight_gradient_direct, p, std::move(bindings),
                                       problem.vectors_in_all() * p.parts);
             });
}

double direct_cost(const KernelContext& context) {
  const Problem problem(context);
  const auto work = static_cast<double>(problem.dy.n * problem.dy.pixels()) * 4;
  return guessed_seconds_of_invocations(
      context.capabilities, static_cast<double>(problem.vectors_in_all()), work, kDirectRate);
}

constexpr KernelVariant kVariants[] = {{.name = "conv2d_weight_gradient_subgroup",
                                        .supported = subgroup_supported,
                                        .emit = emit_subgroup,
                                        .texels = true,
                                        .cost = subgroup_cost,
                                        .whole_batch = true},
                                       {.name = "conv2d_weight_gradient_direct",
                                        .emit = emit_direct,
                                        .cost = direct_cost,
                                        .whole_batch = true}};

}  // namespace

std::span<const KernelVariant> conv2d_weight_gradient_kernels() {
  return kVariants;
}

}  // namespace caldera
