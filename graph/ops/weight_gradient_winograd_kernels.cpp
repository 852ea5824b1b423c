// conv2d_weight_gradient by Winograd's transforms: the adjoint of the forward convolution's F(4x4).
// Where that is Y = A^T [(G w G^T) . (B^T x B)] A, the gradient is
//
//   dW = G^T [sum over tiles of (A dY A^T) . (B^T x B)] G
//
// with 36 multiply-adds a tile of 4x4 outputs, for 144.
#include "graph/ops/weight_gradient_winograd_kernels.h"

#include <algorithm>

#include "graph/align.h"
#include "graph/ops/conv2d_rates.h"
#include "graph/ops/conv2d_subgroup_kernels.h"
#include "graph/ops/image_runs.h"
#include "graph/ops/weight_gradient_problem.h"
#include "shaders/conv2d/winograd_params.h"

namespace caldera {

namespace {

using Problem = WeightGradientProblem;

constexpr uint32_t kOutputs = 4;  // Of a tile, along each side.
constexpr uint32_t kElements = 36;
constexpr uint32_t kLeastStep = 4;  // Tiles of the images that a step of it takes.
// Of one workspace, where an image needs no more.
constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;

uint64_t image_tiles(const Problem& problem) {
  return ceil_div(problem.dy.h, kOutputs) * ceil_div(problem.dy.w, kOutputs);
}

// Bytes of the larger of an image's two transforms.
uint64_t workspace_image_bytes(const Problem& problem) {
  return kElements * image_tiles(problem) * std::max(problem.x.c4(), problem.dy.c4()) *
         sizeof(float[4]);
}

// Of the filters' gradients by elements.
uint64_t sums_bytes(const Problem& problem) {
  return kElements * static_cast<uint64_t>(problem.weight[0]) * problem.in4() * sizeof(float[4]);
}

uint64_t most_bytes(const Capabilities& capabilities, Storage storage) {
  return texel_buffer_bytes(capabilities, storage);
}

int64_t images_a_run(const Capabilities& capabilities, const Problem& problem) {
  const uint64_t most = std::min(kMostWorkspace, most_bytes(capabilities, Storage::kF32));
  return images_a_binding(capabilities, {problem.x, problem.dy},
                          most_bytes(capabilities, problem.x.storage),
                          static_cast<int64_t>(most / workspace_image_bytes(problem)));
}

bool supported(const KernelContext& context) {
  const Problem problem(context);
  const auto& attrs = problem.attrs;
  return subgroups_fit(context.capabilities) && attrs.groups == 1 && problem.kernel_h() == 3 &&
         problem.kernel_w() == 3 && attrs.stride == Size2d{} && attrs.dilation == Size2d{} &&
         sums_bytes(problem) <= most_bytes(context.capabilities, Storage::kF32) &&
         images_a_run(context.capabilities, problem) > 0;
}

// Vectors of output channels that a tile of the product holds. A CPU keeps most of its sums in
// memory anyhow.
uint32_t product_blocks(const Capabilities& capabilities, const Problem& problem) {
  return capabilities.cpu && problem.dy.c4() % 16 == 0 ? 16 : 8;
}

uint64_t product_tiles(const Problem& problem, uint32_t lanes, uint32_t blocks) {
  return kElements * ceil_div(problem.in4(), lanes) * ceil_div(problem.dy.c4(), blocks);
}

void emit(Emitter& emitter, const Node& node) {
  const Problem problem(emitter.graph(), node);
  const NodeId id = id_of(emitter.graph(), node);
  const uint32_t lanes = emitter.capabilities().subgroup_size;
  const uint32_t blocks = product_blocks(emitter.capabilities(), problem);
  const int64_t batch = problem.dy.n;
  const int64_t run = images_a_run(emitter.capabilities(), problem);
  const uint64_t a_image = image_tiles(problem);
  const uint64_t most_tiles = a_image * static_cast<uint64_t>(std::min(run, batch));
  const auto transform = [&](const ImageShape& shape) {
    return emitter.workspace(kElements * most_tiles * shape.c4() * sizeof(float[4]));
  };
  const Binding v = transform(problem.x);
  const Binding dm = transform(problem.dy);
  const Binding sums = emitter.workspace(sums_bytes(problem));
  shader::WinogradParams p{.conv = problem.conv_params(),
                           .tiles_h = static_cast<uint32_t>(ceil_div(problem.dy.h, kOutputs)),
                           .tiles_w = static_cast<uint32_t>(ceil_div(problem.dy.w, kOutputs)),
                           .elements = kElements};
  for (int64_t first = 0; first < batch; first += run) {
    const int64_t count = std::min(run, batch - first);
    const uint64_t tiles = a_image * static_cast<uint64_t>(count);
    p.tiles = static_cast<uint32_t>(tiles);
    p.add = first > 0;
    Dispatch& input = emitter.dispatch(id, ShaderId::winograd_input, p,
                                       {emitter.activation(node.inputs[0], first, count), v},
                                       tiles * problem.x.c4(), lanes);
    input.constants.insert(input.constants.end(), {kOutputs, emitter.rolls_stores()});
    emitter
        .dispatch(id, ShaderId::winograd_gradient, p,
                  {emitter.activation(node.inputs[1], first, count), dm}, tiles * problem.dy.c4(),
                  lanes)
        .constants.push_back(emitter.rolls_stores());
    Dispatch& product = emitter.dispatch(id, ShaderId::winograd_gradient_product, p, {v, dm, sums},
                                         product_tiles(problem, lanes, blocks) * lanes, lanes);
    product.constants.insert(
        product.constants.end(),
        {blocks, lanes, std::max(kLeastStep, lanes / blocks), emitter.rolls_stores()});
    product.required_subgroup_size = lanes;
    product.multiply_adds =
        static_cast<int64_t>(kElements * tiles) * problem.weight[0] * problem.weight[1];
  }
  emitter
      .dispatch(id, ShaderId::winograd_gradient_output, p, {sums, emitter.state(node.updates[0])},
                static_cast<uint64_t>(problem.weight[0]) * problem.in4(), lanes)
      .constants.push_back(emitter.rolls_stores());
}

double cost(const KernelContext& context) {
  const Problem problem(context);
  const uint32_t lanes = context.capabilities.subgroup_size;
  const uint64_t tiles = static_cast<uint64_t>(problem.dy.n) * image_tiles(problem);
  const uint32_t blocks = product_blocks(context.capabilities, problem);
  const auto products = static_cast<double>(product_tiles(problem, lanes, blocks));
  const auto steps = static_cast<double>(ceil_div(tiles, kLeastStep));
  const double step_multiply_adds = kLeastStep * lanes * 16.0 * blocks;
  if (!context.capabilities.cpu) {
    return 3 * kGpuDispatch + guessed_seconds(context.capabilities, products,
                                              steps * step_multiply_adds, kWinogradRate);
  }
  const auto transforms = [&](uint64_t invocations, double cost_of_one) {
    return static_cast<double>(ceil_div(invocations, lanes)) * cost_of_one;
  };
  return software::seconds(
      4 * software::kDispatch + transforms(tiles * problem.x.c4(), software::kTransform4) +
      transforms(tiles * problem.dy.c4(), software::kTransform4) +
      products * (steps * software::gradient_step(blocks) + blocks * 4 * software::kStore) +
      transforms(static_cast<uint64_t>(problem.weight[0]) * problem.in4(), software::kTransform4));
}

constexpr KernelVariant kVariants[] = {{.name = "conv2d_weight_gradient_winograd4",
                                        .supported = supported,
                                        .emit = emit,
                                        .texels = true,
                                        .cost = cost,
                                        .whole_batch = true}};

}  // namespace

std::span<const KernelVariant> weight_gradient_winograd_kernels() {
  return kVariants;
}

}  // namespace caldera
