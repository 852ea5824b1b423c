// Plans on devices that do not exist: limits respected, and refused with a line that helps.
#include "graph/plan.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/autodiff.h"

#include "runtime/reflection.h"
#include "runtime/shader.h"
#include "tests/graph/random_operands.h"
#include "tests/support/require.h"

namespace caldera {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// About what Vulkan 1.2 promises at least.
Capabilities smallest_device() {
  Capabilities limits;
  limits.max_storage_buffer_range = uint64_t{1} << 27;
  limits.storage_buffer_alignment = 256;
  limits.max_allocation_size = uint64_t{1} << 30;
  limits.max_workgroup_count = {65535, 65535, 65535};
  limits.max_workgroup_size = {128, 128, 64};
  limits.max_workgroup_invocations = 128;
  limits.max_texel_buffer_elements = 65536;
  limits.texel_buffer_alignment = 256;
  limits.subgroup_size = 4;
  return limits;
}

Graph conv_net(Shape input, int64_t channels) {
  GraphBuilder b;
  const ValueId x = b.input("x", std::move(input));
  b.output(b.conv2d("conv", x, channels, {3, 3}, {.padding = {1, 1}}));
  return std::move(b).finish().value();
}

Result<Plan> plan(const Capabilities& limits, const Graph& graph, SessionOptions options = {}) {
  return make_plan(limits, "a device", graph, test::random_weights(graph), options);
}

TEST(Plan, BindsNoMoreThanTheDeviceAllows) {
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = 100'000;  // One image takes 16 * 16 * 32 * 4 = 32,768 bytes.
  const Plan made = plan(limits, conv_net({10, 32, 16, 16}, 32)).value();
  for (const Dispatch& dispatch : made.dispatches) {
    for (const Binding& binding : dispatch.bindings) {
      EXPECT_LE(binding.size, limits.max_storage_buffer_range);
      EXPECT_EQ(binding.offset % limits.storage_buffer_alignment, 0u);
    }
  }
  EXPECT_EQ(made.dispatches.size(), 3u * 4);  // Pack, conv, unpack; 3 + 3 + 3 + 1 images each.
}

TEST(Plan, CutsABatchOnlyWhereABindingMayStart) {
  Capabilities limits = smallest_device();
  limits.storage_buffer_alignment = limits.texel_buffer_alignment = 16;
  limits.max_storage_buffer_range = 4096;  // An image of 3 channels, 5x5: 400 bytes; dense, 300.
  const Plan made = plan(limits, conv_net({100, 3, 5, 5}, 3)).value();
  int64_t images = 0;
  for (const Dispatch& dispatch : made.dispatches) {
    for (const Binding& binding : dispatch.bindings) {
      EXPECT_EQ(binding.offset % limits.storage_buffer_alignment, 0u);
      EXPECT_LE(binding.size, limits.max_storage_buffer_range);
    }
    if (dispatch.shader == ShaderId::conv2d_tile) {
      images += static_cast<int64_t>(dispatch.bindings[0].size / 400);
    }
  }
  EXPECT_EQ(images, 100);
}

TEST(Plan, RefusesAnImageTooLargeAndNamesTheLayer) {
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = 10'000;
  const auto made = plan(limits, conv_net({1, 3, 20, 20}, 32));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(made.error().message, HasSubstr("conv (conv2d)"));
  EXPECT_THAT(made.error().message, HasSubstr("smaller image"));
}

TEST(Plan, SaysWhatBatchFitsWhereNoCutIsAligned) {
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = 10'000;
  const auto made = plan(limits, conv_net({40, 3, 5, 5}, 3));  // A cut must hold 64 images.
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("a batch of 25 would fit"));
}

// With 65,536 elements an image, on a device that would hold them.
TEST(Plan, RefusesMoreElementsThanShadersCount) {
  Capabilities limits = smallest_device();
  limits.max_allocation_size = uint64_t{1} << 40;
  const auto made = plan(limits, conv_net({70'000, 64, 32, 32}, 64));
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(made.error().message, HasSubstr("a batch of 65535 would fit"));
  EXPECT_TRUE(plan(limits, conv_net({65'535, 64, 32, 32}, 64)).ok());
}

TEST(Plan, RefusesWeightsTooLargeAndNamesTheLayer) {
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = 20'000;
  const auto made = plan(limits, conv_net({1, 32, 4, 4}, 32));
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("conv: its weights take"));
}

// Two limits of one kernel's bindings: what a texel buffer spans, and where it may start.
TEST(Plan, TakesTheNextKernelWhereOneDoesNotFit) {
  Capabilities limits = smallest_device();
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 16;
  limits.max_storage_texel_buffers = 8;
  limits.subgroup_shuffle = limits.subgroup_size_control = true;
  const auto kernel_of = [&](Shape input, int64_t channels) {
    return std::string(plan(limits, conv_net(std::move(input), channels)).value().kernels[0]->name);
  };
  EXPECT_THAT(kernel_of({1, 8, 28, 28}, 64), StartsWith("conv2d_"));
  EXPECT_NE(kernel_of({1, 8, 28, 28}, 64), "conv2d_tile");
  EXPECT_EQ(kernel_of({1, 128, 56, 56}, 8), "conv2d_tile");  // 1.6 MB; texel buffers span 1 MiB.
  EXPECT_NE(kernel_of({1, 8, 56, 56}, 128), "conv2d_tile");  // The output's are storage buffers.
}

// A GPU as they are today, with matrix units where `matrices`.
Capabilities gpu(bool matrices) {
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = uint64_t{1} << 31;
  limits.max_texel_buffer_elements = 1u << 27;
  limits.max_workgroup_size = {1024, 1024, 64};
  limits.max_workgroup_invocations = 1024;
  limits.max_shared_memory = 48 << 10;
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 32;
  limits.max_storage_texel_buffers = 8;
  limits.subgroup_shuffle = limits.subgroup_size_control = limits.fp16 = true;
  limits.cooperative_matrix = matrices;
  using enum ComponentType;
  if (matrices) {
    limits.cooperative_matrix_shapes = {{16, 8, 8, kFloat16, kFloat16, kFloat32, kFloat32},
                                        {16, 16, 16, kFloat16, kFloat16, kFloat16, kFloat16},
                                        {16, 16, 16, kFloat16, kFloat16, kFloat32, kFloat32}};
  }
  return limits;
}

std::string kernel_on(const Capabilities& device, const Graph& graph,
                      Precision precision = Precision::kFp32) {
  const Plan made = plan(device, graph, {.precision = precision}).value();
  return std::string(made.kernels[0]->name);
}

TEST(Plan, GivesAGpuTilesThatFillIt) {
  EXPECT_EQ(kernel_on(gpu(false), conv_net({32, 256, 28, 28}, 256)), "conv2d_gemm_128x128");
  EXPECT_EQ(kernel_on(gpu(false), conv_net({1, 512, 7, 7}, 512)), "conv2d_gemm_32x32");
}

TEST(Plan, GivesADepthwiseConvolutionItsOwnKernel) {
  GraphBuilder b;
  b.output(b.conv2d("conv", b.input("x", {8, 256, 28, 28}), 256, {3, 3},
                    {.padding = {1, 1}, .groups = 256}));
  EXPECT_EQ(kernel_on(gpu(true), std::move(b).finish().value()), "conv2d_depthwise");
}

TEST(Plan, UsesMatrixUnitsForHalvesAlone) {
  if (shader_spirv(ShaderId::conv2d_coopmat).empty()) {
    CALDERA_SKIP_UNLESS_REQUIRED("built by a compiler without cooperative matrices")
  }
  const Graph graph = conv_net({32, 256, 28, 28}, 256);
  EXPECT_EQ(kernel_on(gpu(true), graph, Precision::kFp32), "conv2d_gemm_128x128");
  EXPECT_EQ(kernel_on(gpu(false), graph, Precision::kFp16), "conv2d_gemm_128x128");
  EXPECT_EQ(kernel_on(gpu(true), graph, Precision::kFp16), "conv2d_coopmat_128x128");

  const Plan made = plan(gpu(true), graph, {.precision = Precision::kFp16}).value();
  const auto product =
      std::ranges::find(made.dispatches, ShaderId::conv2d_coopmat, &Dispatch::shader);
  ASSERT_NE(product, made.dispatches.end());
  EXPECT_EQ(product->required_subgroup_size, 32u);
  // The largest shape that sums in floats: 16x16x16.
  EXPECT_THAT(std::vector(product->constants.begin() + 6, product->constants.begin() + 9),
              testing::ElementsAre(16u, 16u, 16u));
}

// By the tiles' measured rates, and by how many processors there are to share them.
TEST(Plan, GivesMatrixUnitsTilesThatFillTheGpu) {
  if (shader_spirv(ShaderId::conv2d_coopmat).empty()) {
    CALDERA_SKIP_UNLESS_REQUIRED("built by a compiler without cooperative matrices")
  }
  const auto kernel = [](Shape input, int64_t channels, uint32_t processors = 0) {
    Capabilities device = gpu(true);
    device.processors = processors;
    return kernel_on(device, conv_net(std::move(input), channels), Precision::kFp16);
  };
  EXPECT_EQ(kernel({256, 256, 28, 28}, 256), "conv2d_coopmat_128x256");
  EXPECT_EQ(kernel({256, 64, 56, 56}, 64), "conv2d_coopmat_256x64");
  EXPECT_EQ(kernel({1, 512, 7, 7}, 512), "conv2d_coopmat_32x32");
  // Seventeen waves of half the tile on 96 processors beside nine; on 132, twelve beside six.
  EXPECT_EQ(kernel({256, 128, 28, 28}, 128), "conv2d_coopmat_128x128");
  EXPECT_EQ(kernel({256, 128, 28, 28}, 128, /*processors=*/132), "conv2d_coopmat_256x128");
}

TEST(Plan, KeepsTilesForGpusFromSoftwareDrivers) {
  Capabilities software = gpu(true);
  software.cpu = true;
  software.subgroup_size = software.min_subgroup_size = software.max_subgroup_size = 8;
  for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
    EXPECT_EQ(kernel_on(software, conv_net({8, 64, 28, 28}, 64), precision),
              "conv2d_winograd4_64x4");
    software.subgroup_shuffle = false;
    EXPECT_EQ(kernel_on(software, conv_net({8, 64, 28, 28}, 64), precision), "conv2d_tile");
    software.subgroup_shuffle = true;
  }
}

TEST(Plan, TakesNoMoreSharedMemoryThanThereIs) {
  Capabilities limits = gpu(true);
  limits.max_shared_memory = 16 << 10;
  limits.cooperative_matrix_shapes.clear();
  limits.cooperative_matrix = false;
  EXPECT_EQ(kernel_on(limits, conv_net({32, 256, 28, 28}, 256)), "conv2d_gemm_64x64");
}

TEST(Plan, StartsTexelBuffersWhereTheyMayStart) {
  Capabilities limits = smallest_device();
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 8;
  limits.max_storage_texel_buffers = 8;
  limits.subgroup_shuffle = limits.subgroup_size_control = true;
  limits.storage_buffer_alignment = 16;
  limits.max_storage_buffer_range = 1 << 20;
  const Plan made =
      plan(limits, conv_net({5000, 4, 7, 7}, 4), {.kernels = {"conv2d_subgroup_16x4"}}).value();
  int cuts = 0;
  for (const Dispatch& dispatch : made.dispatches) {
    if (dispatch.shader != ShaderId::conv2d_subgroup) continue;
    ++cuts;
    const Binding& input = dispatch.bindings[0];
    const Place place = made.arena_place(static_cast<ValueId>(input.index));
    EXPECT_EQ((place.offset + input.offset) % 256, 0u);
  }
  EXPECT_GT(cuts, 1);
}

// Vulkan promises four a shader; normalisation's kernels for software drivers read up to six.
TEST(Plan, BindsNoMoreTexelBuffersThanAShaderMay) {
  GraphBuilder b;
  const ValueId x = b.input("x", {8, 3, 16, 16});
  ValueId y = b.max_pool2d("pool", b.conv2d("conv1", x, 16, {3, 3}, {.padding = {1, 1}}), {});
  const ValueId skip = y;
  y = b.relu("relu1", b.batch_norm("bn1", b.conv2d("conv2", y, 16, {3, 3}, {.padding = {1, 1}})));
  y = b.relu("relu2", b.add("add", b.batch_norm("bn2", b.conv2d("conv3", y, 16, {1, 1})), skip));
  b.output(b.linear("fc", b.flatten("flatten", b.adaptive_avg_pool2d("avg", y, {{1, 1}})), 5));
  const Graph graph = make_training_graph(std::move(b).finish().value(), {}).value().graph;
  Capabilities limits = smallest_device();
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 8;
  limits.subgroup_shuffle = limits.subgroup_size_control = true;
  const auto most_bound = [&](uint32_t limit) {
    limits.max_storage_texel_buffers = limit;
    int64_t most = 0;
    const Plan made = plan(limits, graph).value();
    for (const Dispatch& dispatch : made.dispatches) {
      const ShaderReflection shader = reflect(shader_spirv(dispatch.shader)).value();
      most = std::max<int64_t>(
          most, std::ranges::count_if(shader.bindings, [](const ShaderBinding& binding) {
            return binding.type != BindingType::kStorageBuffer;
          }));
    }
    return most;
  };
  for (uint32_t limit = 0; limit < 6; ++limit) {
    SCOPED_TRACE(limit);
    EXPECT_LE(most_bound(limit), limit);
  }
  EXPECT_EQ(most_bound(8), 6);
}

TEST(Plan, CutsAMatrixOnlyWhereABindingMayStart) {
  GraphBuilder b;
  b.output(b.linear("fc", b.input("x", {1, 1001}), 4004));
  const Graph graph = std::move(b).finish().value();
  const uint64_t block = 251 * 4 * 16;  // Four rows, 16,064 bytes: aligned after four of them.
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = 7 * block;
  const Plan made = plan(limits, graph).value();
  for (const Dispatch& dispatch : made.dispatches) {
    for (const Binding& binding : dispatch.bindings) EXPECT_EQ(binding.offset % 256, 0u);
  }
  limits.max_storage_buffer_range = 3 * block;
  const auto refused = plan(limits, graph);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("fc: its weights take"));
}

TEST(Plan, CutsAMatrixTooLargeForOneBindingByRows) {
  GraphBuilder b;
  const ValueId x = b.input("x", {3, 100});
  b.output(b.linear("fc", x, 1000));
  Capabilities limits = smallest_device();
  limits.max_storage_buffer_range = 64'000;  // The matrix takes 400,000 bytes.
  const Plan made = plan(limits, std::move(b).finish().value()).value();
  uint64_t rows = 0;
  for (const Dispatch& dispatch : made.dispatches) {
    if (dispatch.shader != ShaderId::linear_tile) continue;
    EXPECT_LE(dispatch.bindings[1].size, limits.max_storage_buffer_range);
    EXPECT_EQ(dispatch.bindings[1].offset % limits.storage_buffer_alignment, 0u);
    rows += dispatch.bindings[1].size / 400;
  }
  EXPECT_EQ(rows, 1000u);
}

TEST(Plan, FoldsDispatchesLongerThanARowOfWorkgroups) {
  Capabilities limits = smallest_device();
  limits.max_workgroup_count = {7, 1000, 1};
  const Plan made = plan(limits, conv_net({1, 3, 31, 31}, 8)).value();
  for (const Dispatch& dispatch : made.dispatches) {
    EXPECT_LE(dispatch.workgroups[0], 7u);
    EXPECT_GE(dispatch.workgroups[1], 1u);
  }
}

TEST(Plan, ListsEveryWeightThatIsMissingOrMisshapen) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 3, 8, 8});
  b.output(b.batch_norm("bn", b.conv2d("conv", x, 4, {1, 1})));
  const Graph graph = std::move(b).finish().value();
  Weights weights = test::random_weights(graph);
  weights.erase("conv.weight");
  weights["bn.bias"] = Tensor::from_floats({5}, std::vector<float>(5));
  const auto made = make_plan(smallest_device(), "a device", graph, weights, {});
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("conv.weight is missing"));
  EXPECT_THAT(made.error().message, HasSubstr("bn.bias is f32 [5] where f32 [4] is needed"));
}

TEST(Plan, RefusesAKernelThatDoesNotExistAndListsThoseThatDo) {
  SessionOptions options;
  options.kernels = {"conv2d_magic"};
  const auto made = plan(smallest_device(), conv_net({1, 3, 8, 8}, 4), options);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("'conv2d_magic'"));
  EXPECT_THAT(made.error().message, HasSubstr("conv2d_direct"));
}

TEST(Plan, TheFallbackOfEveryOperatorFitsEverything) {
  for (size_t kind = 0; kind < std::variant_size_v<Attrs>; ++kind) {
    const auto variants = kernel_variants(static_cast<OpKind>(kind));
    ASSERT_FALSE(variants.empty());
    EXPECT_EQ(variants.back().supported, nullptr) << variants.back().name;
    for (const KernelVariant& variant : variants) {
      EXPECT_TRUE(variant.name.starts_with(op_name(static_cast<OpKind>(kind)))) << variant.name;
    }
  }
}

// What comes before may run while the host still looks at the step before: it changes no state, and
// what it reads of the step's scalars is read again behind it.
TEST(Plan, ChangesNothingInAForwardPass) {
  GraphBuilder b;
  ValueId x = b.input("x", {4, 3, 9, 9});
  for (const std::string name : {"a", "b"}) {
    x = b.conv2d(name + ".conv", x, 8, {3, 3}, {.padding = {1, 1}});
    x = b.relu(name + ".relu", b.batch_norm(name + ".bn", x));
  }
  x = b.flatten("flatten", b.adaptive_avg_pool2d("pool", x, {{1, 1}}));
  b.output(b.linear("fc", b.dropout("dropout", x, {0.5f}), 3));
  const Graph forward = std::move(b).finish().value();
  const Weights weights = test::random_weights(forward);
  for (const Checkpointing mode : {Checkpointing::kNone, Checkpointing::kBlocks}) {
    TrainingSpec spec;
    spec.checkpointing = mode;
    spec.cumulative_statistics = true;
    Graph graph = make_training_graph(forward, spec).value().graph;
    const Plan made = make_plan(smallest_device(), "a device", graph, weights, {}).value();
    ASSERT_GT(made.forward_dispatches, 0u);
    ASSERT_LT(made.forward_dispatches, made.dispatches.size());
    size_t layers = 0;
    bool dropout = false;
    for (size_t i = 0; i < made.dispatches.size(); ++i) {
      const Dispatch& dispatch = made.dispatches[i];
      const bool forward_pass = i < made.forward_dispatches;
      const auto bindings = reflect(shader_spirv(dispatch.shader)).value().bindings;
      for (size_t at = 0; at < dispatch.bindings.size(); ++at) {
        if (dispatch.bindings[at].kind != BindingKind::kState) continue;
        EXPECT_FALSE(forward_pass && bindings[at].writes) << i;
      }
      if (!forward_pass || dispatch.node == NodeId::kNone) continue;
      const OpKind kind = made.graph.node(dispatch.node).kind();
      layers += kind == OpKind::kConv2d || kind == OpKind::kLinear;
      dropout = dropout || kind == OpKind::kDropoutMask;
    }
    EXPECT_GE(layers, 3u);
    EXPECT_TRUE(dropout);
    // The scalars come in for dropout, and again for what begins the rest.
    const auto brings_scalars = [](const Dispatch& dispatch) {
      return dispatch.bindings[0].kind == BindingKind::kInput && dispatch.bindings[0].index == 2;
    };
    EXPECT_TRUE(brings_scalars(made.dispatches[made.forward_dispatches]));
    EXPECT_EQ(std::ranges::count_if(made.dispatches, brings_scalars), 2);
  }
}

TEST(Plan, AFlattenOfOnePixelMovesNothing) {
  GraphBuilder b;
  const ValueId x = b.input("x", {2, 6, 1, 1});
  b.output(b.flatten("flatten", x));
  const Plan made = plan(smallest_device(), std::move(b).finish().value()).value();
  EXPECT_EQ(made.dispatches.size(), 2u);  // In and out.
  EXPECT_EQ(made.arena_place(made.graph.inputs[0]), made.arena_place(made.graph.outputs[0]));
}

}  // namespace
}  // namespace caldera
