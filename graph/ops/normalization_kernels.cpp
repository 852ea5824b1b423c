// The ways to run batch statistics, normalisation by them, and its gradients.
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "graph/ops/access.h"
#include "graph/ops/epilogue.h"
#include "graph/ops/image_runs.h"
#include "shaders/normalization/normalization_params.h"

namespace caldera {

namespace {

// Invocations that sum side by side: enough for any device, few enough that adding them up is
// little.
uint64_t summers(const Emitter& emitter) {
  return emitter.capabilities().cpu ? 2048 : 16384;
}
constexpr uint64_t kLeastPixels = 32;

template <Access kAccess>
uint64_t most_bytes(const Emitter& emitter) {
  return kAccess == Access::kTexels ? texel_buffer_bytes(emitter.capabilities(), emitter.storage())
                                    : emitter.capabilities().max_storage_buffer_range;
}

// Whether a shader may bind so many texel buffers, and one spans enough of the normalised value,
// which is the first or the second input, and both numbers of each of its channels.
template <size_t kInput, uint32_t kTexelBuffers>
bool texels_fit(const KernelContext& context) {
  const ImageShape x = context.shape(context.node.inputs[kInput]);
  return texels_fit(context, {x}, kTexelBuffers) &&
         2 * x.c4() <= context.capabilities.max_texel_buffer_elements;
}

float values_a_channel(const ImageShape& shape) {
  return static_cast<float>(shape.n * shape.pixels());
}

// How invocations share out a pixel's vectors: shaders/normalization/walk.glsl.
struct Walk {
  uint32_t vectors = 1;
  uint32_t lanes = 1;

  uint64_t invocations(uint64_t parts, uint32_t c4) const { return parts * c4 / vectors; }
  // Of a subgroup where invocations are the fewer, so that they still are many workgroups.
  uint32_t workgroup(const Emitter& emitter) const {
    return vectors > 1 ? lanes : emitter.workgroup_size();
  }
  void append_to(std::vector<uint32_t>& constants) const {
    constants.insert(constants.end(), {vectors, lanes});
  }
};

Walk walk_of(const Emitter& emitter, uint32_t c4) {
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  if (!emitter.capabilities().cpu || lanes == 0) return {};
  for (const uint32_t vectors : {4u, 2u}) {
    if (c4 % (vectors * lanes) == 0) return {vectors, lanes};
  }
  return {};
}

struct Sums {
  ImageRuns plan;
  Binding workspace;
  shader::StatisticsParams params;
  Walk walk;

  // Of one run.
  shader::StatisticsParams of(const ImageRun& run) const {
    shader::StatisticsParams p = params;
    p.pixels = run.items;
    p.first_part = run.first_part;
    return p;
  }
  uint64_t invocations(const ImageRun& run) const { return walk.invocations(run.parts, params.c4); }
};

template <Access kAccess>
Sums plan_sums(Emitter& emitter, const ImageShape& shape, float eps) {
  const ImageRuns plan =
      plan_runs(emitter, {shape}, most_bytes<kAccess>(emitter),
                static_cast<uint64_t>(shape.pixels()), summers(emitter) / shape.c4(), kLeastPixels);
  return {
      .plan = plan,
      .workspace = emitter.workspace(uint64_t{2} * plan.parts() * shape.c4() * sizeof(float[4])),
      .params = {.c4 = shape.c4(),
                 .part_pixels = plan.part_items,
                 .parts = plan.parts(),
                 .count = values_a_channel(shape),
                 .eps = eps},
      .walk = walk_of(emitter, shape.c4())};
}

template <Access kAccess>
void emit_statistics(Emitter& emitter, const Node& node) {
  const NodeId id = id_of(emitter.graph(), node);
  const ValueId x = node.inputs[0];
  const ImageShape shape = emitter.shape(x);
  const Sums sums = plan_sums<kAccess>(emitter, shape, 0);
  const Binding pivot = emitter.activation(x, 0, 1);
  for (const ImageRun& run : sums.plan.runs) {
    Dispatch& dispatch = emitter.dispatch(
        id, pick<kAccess>(ShaderId::batch_statistics, ShaderId::batch_statistics_texels),
        sums.of(run), {emitter.activation(x, run.first, run.count), pivot, sums.workspace},
        sums.invocations(run), sums.walk.workgroup(emitter));
    sums.walk.append_to(dispatch.constants);
  }
  emitter.dispatch(id, ShaderId::finish_statistics, sums.params,
                   {sums.workspace, pivot, emitter.whole(node.output())}, shape.c4());
}

void emit_frozen(Emitter& emitter, const Node& node) {
  const ImageShape shape = emitter.shape(node.output());
  const shader::StatisticsParams p{.c4 = shape.c4()};
  emitter.dispatch(
      id_of(emitter.graph(), node), ShaderId::frozen_statistics, p,
      {emitter.weight(node.inputs[0], WeightLayout::kVector),
       emitter.weight(node.inputs[1], WeightLayout::kVector), emitter.whole(node.output())},
      shape.c4());
}

// Pixels that an invocation normalises.
uint32_t pixels_each(const Emitter& emitter) {
  return emitter.capabilities().cpu ? 32 : 16;
}

shader::NormalizeParams normalize_params(const Emitter& emitter, const ImageShape& shape,
                                         float eps) {
  return {.pixels = emitter.images() * static_cast<uint32_t>(shape.pixels()),
          .c4 = shape.c4(),
          .channels = static_cast<uint32_t>(shape.c),
          .part_pixels = pixels_each(emitter),
          .count = values_a_channel(shape),
          .eps = eps};
}

uint64_t normalize_invocations(const shader::NormalizeParams& p, const Walk& walk) {
  return walk.invocations(ceil_div(p.pixels, p.part_pixels), p.c4);
}

template <Access kAccess>
void emit_normalize(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<NormalizeAttrs>(node.attrs);
  shader::NormalizeParams p = normalize_params(emitter, emitter.shape(node.output()), attrs.eps);
  p.epilogue = epilogue_bits(attrs.epilogue, false);
  const Walk walk = walk_of(emitter, p.c4);
  const Binding x = emitter.activation(node.inputs[0]);
  Dispatch& dispatch = emitter.dispatch(
      id_of(emitter.graph(), node), pick<kAccess>(ShaderId::normalize, ShaderId::normalize_texels),
      p,
      {x, emitter.whole(node.inputs[1]), emitter.weight(node.inputs[2], WeightLayout::kVector),
       emitter.weight(node.inputs[3], WeightLayout::kVector),
       attrs.epilogue.residual ? emitter.activation(node.inputs.back()) : x,
       emitter.activation(node.output())},
      normalize_invocations(p, walk), walk.workgroup(emitter));
  dispatch.constants.push_back(any_activation(attrs.epilogue));
  walk.append_to(dispatch.constants);
}

void emit_update(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<UpdateRunningAttrs>(node.attrs);
  const shader::UpdateRunningParams p{.c4 = emitter.shape(node.inputs[0]).c4(),
                                      .momentum = attrs.momentum,
                                      .cumulative = attrs.cumulative,
                                      .count = static_cast<float>(attrs.count)};
  emitter.dispatch(id_of(emitter.graph(), node), ShaderId::update_running, p,
                   {emitter.whole(node.inputs[0]), emitter.whole(node.inputs[1]),
                    emitter.state(node.updates[0]), emitter.state(node.updates[1])},
                   p.c4);
}

// dy, x, statistics, weight, bias.
std::vector<Binding> normalize_bindings(Emitter& emitter, const Node& node, const Binding& dy,
                                        const Binding& x) {
  return {dy, x, emitter.whole(node.inputs[2]),
          emitter.weight(node.inputs[3], WeightLayout::kVector),
          emitter.weight(node.inputs[4], WeightLayout::kVector)};
}

template <Access kAccess>
void emit_normalize_sums(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<NormalizeSumsAttrs>(node.attrs);
  const NodeId id = id_of(emitter.graph(), node);
  const ImageShape shape = emitter.shape(node.inputs[1]);
  const Sums sums = plan_sums<kAccess>(emitter, shape, attrs.eps);
  for (const ImageRun& run : sums.plan.runs) {
    std::vector<Binding> bindings =
        normalize_bindings(emitter, node, emitter.activation(node.inputs[0], run.first, run.count),
                           emitter.activation(node.inputs[1], run.first, run.count));
    bindings.push_back(sums.workspace);
    Dispatch& dispatch = emitter.dispatch(
        id, pick<kAccess>(ShaderId::normalize_sums, ShaderId::normalize_sums_texels), sums.of(run),
        std::move(bindings), sums.invocations(run), sums.walk.workgroup(emitter));
    dispatch.constants.push_back(static_cast<uint32_t>(attrs.activation));
    sums.walk.append_to(dispatch.constants);
  }
  const auto gradient = [&](bool asked, const ValueId* update) {
    return asked ? emitter.state(*update) : emitter.workspace(16);
  };
  const ValueId* updates = node.updates.data();
  Dispatch& finish = emitter.dispatch(
      id, ShaderId::finish_sums, sums.params,
      {sums.workspace, emitter.whole(node.output()), gradient(attrs.weight_gradient, updates),
       gradient(attrs.bias_gradient, updates + attrs.weight_gradient)},
      shape.c4());
  finish.constants.push_back(attrs.weight_gradient);
  finish.constants.push_back(attrs.bias_gradient);
}

template <Access kAccess>
void emit_normalize_gradient(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<NormalizeGradientAttrs>(node.attrs);
  shader::NormalizeParams p = normalize_params(emitter, emitter.shape(node.output()), attrs.eps);
  p.frozen = attrs.frozen;
  const Walk walk = walk_of(emitter, p.c4);
  std::vector<Binding> bindings = normalize_bindings(
      emitter, node, emitter.activation(node.inputs[0]), emitter.activation(node.inputs[1]));
  bindings.push_back(emitter.whole(attrs.frozen ? node.inputs[2] : node.inputs[5]));
  bindings.push_back(emitter.activation(node.output()));
  Dispatch& dispatch = emitter.dispatch(
      id_of(emitter.graph(), node),
      pick<kAccess>(ShaderId::normalize_gradient, ShaderId::normalize_gradient_texels), p,
      std::move(bindings), normalize_invocations(p, walk), walk.workgroup(emitter));
  dispatch.constants.push_back(static_cast<uint32_t>(attrs.activation));
  walk.append_to(dispatch.constants);
}

constexpr KernelVariant kStatistics[] = {{.name = "batch_statistics_texels",
                                          .supported = texels_fit<0, 2>,
                                          .emit = emit_statistics<Access::kTexels>,
                                          .whole_batch = true},
                                         {.name = "batch_statistics_parts",
                                          .emit = emit_statistics<Access::kStorage>,
                                          .whole_batch = true}};
constexpr KernelVariant kFrozen[] = {
    {.name = "frozen_statistics_vector", .emit = emit_frozen, .whole_batch = true}};
constexpr auto kNormalize =
    both_ways(texels_fit<0, 5>, "normalize_texels", emit_normalize<Access::kTexels>,
              "normalize_vector", emit_normalize<Access::kStorage>);
constexpr KernelVariant kUpdate[] = {
    {.name = "update_running_vector", .emit = emit_update, .whole_batch = true}};
constexpr KernelVariant kSums[] = {{.name = "normalize_sums_texels",
                                    .supported = texels_fit<1, 5>,
                                    .emit = emit_normalize_sums<Access::kTexels>,
                                    .whole_batch = true},
                                   {.name = "normalize_sums_parts",
                                    .emit = emit_normalize_sums<Access::kStorage>,
                                    .whole_batch = true}};
constexpr auto kGradient = both_ways(
    texels_fit<1, 6>, "normalize_gradient_texels", emit_normalize_gradient<Access::kTexels>,
    "normalize_gradient_vector", emit_normalize_gradient<Access::kStorage>);

}  // namespace

std::span<const KernelVariant> batch_statistics_kernels() {
  return kStatistics;
}
std::span<const KernelVariant> frozen_statistics_kernels() {
  return kFrozen;
}
std::span<const KernelVariant> normalize_kernels() {
  return kNormalize;
}
std::span<const KernelVariant> update_running_kernels() {
  return kUpdate;
}
std::span<const KernelVariant> normalize_sums_kernels() {
  return kSums;
}
std::span<const KernelVariant> normalize_gradient_kernels() {
  return kGradient;
}

}  // namespace caldera
