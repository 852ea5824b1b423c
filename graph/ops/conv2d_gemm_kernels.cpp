// conv2d_gemm in tiles of several sizes: a large tile reuses more of what it loads, a small one
// wastes less at the edges and lets more processors work. A linear layer is a convolution of
// images of one pixel.
#include "graph/ops/conv2d_gemm_kernels.h"

#include "graph/ops/conv2d_problem.h"
#include "graph/ops/conv2d_rates.h"

namespace caldera {

namespace {

struct Tile {
  uint32_t pixels;
  uint32_t channels;
  uint32_t rows;      // Pixels an invocation.
  uint32_t columns4;  // Vectors of channels an invocation.
  KernelRate rate;
  uint32_t step4 = 4;  // Vectors of k a step.

  constexpr uint32_t invocations() const { return pixels / rows * (channels / 4 / columns4); }
  constexpr uint32_t shared_bytes() const { return 2 * (pixels + channels) * step4 * 16; }
  // Every invocation loads as much as any other.
  constexpr bool even() const {
    return pixels % 8 == 0 && pixels * step4 % invocations() == 0 &&
           channels * step4 % invocations() == 0 && invocations() % step4 == 0 &&
           invocations() % (channels / 4) == 0;
  }
};

constexpr Tile k128x128{128, 128, 8, 2, {0.70, 0.8e9}};
constexpr Tile k128x64{128, 64, 8, 2, {0.60, 0.9e9}};
constexpr Tile k64x64{64, 64, 4, 2, {0.50, 1.0e9}};
constexpr Tile k32x64{32, 64, 4, 1, {0.35, 1.1e9}};
constexpr Tile k32x32{32, 32, 4, 1, {0.25, 1.2e9}};
static_assert(k128x128.even() && k128x64.even() && k64x64.even() && k32x64.even() && k32x32.even());
static_assert(k128x128.shared_bytes() <= 32768);  // What most GPUs give a workgroup.

constexpr uint64_t parts(uint64_t whole, uint64_t part) {
  return (whole + part - 1) / part;
}

uint64_t workgroups(const shader::Conv2dParams& p, const Tile& tile) {
  const uint64_t groups = p.out_c / p.group_out;
  return parts(p.pixels, tile.pixels) * groups * parts(vectors(p.group_out) * 4, tile.channels);
}

bool fits(const Capabilities& capabilities, const Tile& tile) {
  return tile.invocations() <= capabilities.max_workgroup_invocations &&
         tile.invocations() <= capabilities.max_workgroup_size[0] &&
         tile.shared_bytes() <= capabilities.max_shared_memory;
}

double seconds(const Capabilities& capabilities, const shader::Conv2dParams& p, const Tile& tile) {
  const uint64_t k =
      parts(uint64_t{p.kernel_h} * p.kernel_w * vectors(p.group_in), tile.step4) * tile.step4 * 4;
  return guessed_seconds(capabilities, static_cast<double>(workgroups(p, tile)),
                         static_cast<double>(k) * tile.pixels * tile.channels, tile.rate);
}

void dispatch(Emitter& emitter, const Node& node, const shader::Conv2dParams& p,
              std::vector<Binding> bindings, const Tile& tile) {
  Dispatch& made =
      emitter.dispatch(id_of(emitter.graph(), node), ShaderId::conv2d_gemm, p, std::move(bindings),
                       workgroups(p, tile) * tile.invocations(), tile.invocations());
  made.constants.insert(made.constants.end(),
                        {tile.pixels, tile.channels, tile.step4, tile.rows, tile.columns4});
}

template <const Tile& tile>
constexpr KernelVariant conv2d_gemm(std::string_view name) {
  return {.name = name,
          .supported =
              [](const KernelContext& context) {
                return fits(context.capabilities, tile) &&
                       groups_are_whole_vectors(Conv2dProblem(context), 4);
              },
          .emit =
              [](Emitter& emitter, const Node& node) {
                dispatch(emitter, node, conv2d_params(emitter, node),
                         conv2d_bindings(emitter, node, WeightLayout::kHwio), tile);
              },
          .cost =
              [](const KernelContext& context) {
                return seconds(context.capabilities, conv2d_params(context), tile);
              }};
}

// A linear layer as a convolution.
shader::Conv2dParams linear_params(const Graph& graph, const Node& node, uint32_t images) {
  const auto& attrs = std::get<LinearAttrs>(node.attrs);
  const Shape& weight = graph.value(node.inputs[1]).shape;  // [O, I]
  return {.pixels = images,
          .in_h = 1,
          .in_w = 1,
          .in_c4 = vectors(weight[1]),
          .out_h = 1,
          .out_w = 1,
          .out_c4 = vectors(weight[0]),
          .out_c = static_cast<uint32_t>(weight[0]),
          .kernel_h = 1,
          .kernel_w = 1,
          .stride_h = 1,
          .stride_w = 1,
          .pad_h = 0,
          .pad_w = 0,
          .dilation_h = 1,
          .dilation_w = 1,
          .group_in = static_cast<uint32_t>(weight[1]),
          .group_out = static_cast<uint32_t>(weight[0]),
          .epilogue = epilogue_bits(attrs.epilogue, attrs.bias)};
}

// Its matrix has to be bound as one.
template <const Tile& tile>
bool linear_supported(const KernelContext& context) {
  const Shape& weight = context.graph.value(context.node.inputs[1]).shape;
  return fits(context.capabilities, tile) &&
         packed_bytes(weight, WeightLayout::kHwio, context.precision) <=
             context.capabilities.max_storage_buffer_range;
}

template <const Tile& tile>
void emit_linear(Emitter& emitter, const Node& node) {
  const auto& attrs = std::get<LinearAttrs>(node.attrs);
  std::vector<Binding> bindings{emitter.activation(node.inputs[0]),
                                emitter.weight(node.inputs[1], WeightLayout::kHwio),
                                emitter.activation(node.output)};
  append_epilogue(emitter, node, 2, attrs.bias, attrs.epilogue, bindings);
  dispatch(emitter, node, linear_params(emitter.graph(), node, emitter.images()),
           std::move(bindings), tile);
}

template <const Tile& tile>
double linear_cost(const KernelContext& context) {
  const auto images = static_cast<uint32_t>(context.shape(context.node.output).n);
  return seconds(context.capabilities, linear_params(context.graph, context.node, images), tile);
}

constexpr KernelVariant kConv2d[] = {
    conv2d_gemm<k128x128>("conv2d_gemm_128x128"), conv2d_gemm<k128x64>("conv2d_gemm_128x64"),
    conv2d_gemm<k64x64>("conv2d_gemm_64x64"),     conv2d_gemm<k32x64>("conv2d_gemm_32x64"),
    conv2d_gemm<k32x32>("conv2d_gemm_32x32"),
};

constexpr KernelVariant kLinear[] = {
    {.name = "linear_gemm_64x64",
     .supported = linear_supported<k64x64>,
     .emit = emit_linear<k64x64>,
     .cost = linear_cost<k64x64>},
    {.name = "linear_gemm_32x32",
     .supported = linear_supported<k32x32>,
     .emit = emit_linear<k32x32>,
     .cost = linear_cost<k32x32>},
};

}  // namespace

std::span<const KernelVariant> conv2d_gemm_kernels() {
  return kConv2d;
}

std::span<const KernelVariant> linear_gemm_kernels() {
  return kLinear;
}

}  // namespace caldera
