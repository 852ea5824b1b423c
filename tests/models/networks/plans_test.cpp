// What the networks' plans cost, on devices that are only written down: a host test, so that no
// noise hides waste. Arenas stand beside their lower bound for every architecture; dispatches,
// pipelines, memory and traffic of three nets beside recorded figures.
#include <ostream>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/architecture.h"
#include "caldera/autodiff.h"

#include "graph/plan.h"
#include "runtime/reflection.h"
#include "runtime/shader.h"
#include "tests/models/architectures/hollow.h"
#include "tests/support/require.h"

namespace caldera::test {
namespace {

// A GPU of 32 lanes whose driver sets the subgroup's size.
Capabilities gpu() {
  Capabilities limits;
  limits.max_storage_buffer_range = (uint64_t{1} << 32) - 1;
  limits.storage_buffer_alignment = 64;
  limits.max_allocation_size = (uint64_t{1} << 32) - 1;
  limits.max_workgroup_count = {65535, 65535, 65535};
  limits.max_workgroup_size = {1024, 1024, 64};
  limits.max_workgroup_invocations = 1024;
  limits.max_texel_buffer_elements = uint32_t{1} << 27;
  limits.texel_buffer_alignment = 64;
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 32;
  limits.subgroup_shuffle = true;
  limits.max_storage_texel_buffers = 64;
  limits.max_shared_memory = 48 << 10;
  limits.fp16 = true;
  return limits;
}

// Lavapipe's figures (docs/platforms.md).
Capabilities software() {
  Capabilities limits = gpu();
  limits.max_storage_buffer_range = uint64_t{1} << 27;
  limits.storage_buffer_alignment = limits.texel_buffer_alignment = 16;
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 8;
  limits.subgroup_size_control = true;
  limits.cpu = true;
  limits.max_shared_memory = 32 << 10;
  return limits;
}

// The GPU with matrix units of the usual shape.
Capabilities gpu_with_matrices() {
  Capabilities limits = gpu();
  limits.subgroup_size_control = limits.cooperative_matrix = true;
  using enum ComponentType;
  limits.cooperative_matrix_shapes = {{16, 16, 16, kFloat16, kFloat16, kFloat32, kFloat32}};
  return limits;
}

// SwiftShader's subgroups, too small for kernels of subgroups.
Capabilities software_of_four_lanes() {
  Capabilities limits = software();
  limits.subgroup_size = limits.min_subgroup_size = limits.max_subgroup_size = 4;
  limits.fp16 = false;
  return limits;
}

// What a run of one image takes: dispatches, distinct pipelines, and bytes of the arena and of all
// that the dispatches bind.
struct Costs {
  size_t dispatches, pipelines;
  uint64_t arena, traffic;
};

struct Bound {
  Capabilities (*device)();
  std::string net;
  Precision precision;
  Costs most;
};

// Upper bounds, each what its plan takes today. Where a change lowers one, lower it here; where a
// change raises one, its message says what is gained for it.
const std::vector<Bound> kBounds{
    {gpu, "resnet18", Precision::kFp32, {25, 7, 4'014'080, 74'163'792}},
    {gpu, "resnet18", Precision::kFp16, {25, 7, 2'007'040, 37'396'656}},
    {gpu, "resnet50", Precision::kFp32, {58, 9, 7'225'344, 217'367'520}},
    {gpu, "resnet50", Precision::kFp16, {58, 9, 3'612'672, 109'042'240}},
    {gpu, "cifar_resnet20", Precision::kFp32, {27, 5, 196'608, 3'172'184}},
    {gpu, "cifar_resnet20", Precision::kFp16, {27, 5, 98'304, 1'593'752}},
    // Kernels of subgroups: their choice is measured on software drivers, and changes more often.
    {software, "resnet18", Precision::kFp32, {51, 14, 4'415'488, 177'604'176}},
    {software, "resnet50", Precision::kFp32, {84, 14, 7'225'344, 322'577'376}},
    {software, "cifar_resnet20", Precision::kFp32, {27, 8, 196'608, 3'172'184}},
};

Plan plan(const Capabilities& capabilities, const std::string& name, int64_t batch,
          Precision precision = Precision::kFp32) {
  const Graph graph = build_graph(find_architecture(name).value(), batch).value();
  return make_plan(capabilities, "a device", graph, hollow_weights(graph), {.precision = precision})
      .value();
}

// Of a step by SGD that trains all layers.
Plan training_plan(const Capabilities& capabilities, const std::string& name, int64_t batch,
                   Precision precision = Precision::kFp32) {
  const Graph forward = build_graph(find_architecture(name).value(), batch).value();
  const Graph graph = make_training_graph(forward, {}).value().graph;
  return make_plan(capabilities, "a device", graph, hollow_weights(graph), {.precision = precision})
      .value();
}

class Arena : public testing::TestWithParam<std::tuple<std::string, int64_t>> {};

TEST_P(Arena, IsWithinATenthOfTheLeastThatLifetimesAllow) {
  const auto& [name, batch] = GetParam();
  for (const auto& [device, capabilities] : {std::pair("gpu", gpu()), {"software", software()}}) {
    for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
      const MemoryPlan memory = plan(capabilities, name, batch, precision).memory;
      const double ratio =
          static_cast<double>(memory.bytes) / static_cast<double>(memory.lower_bound);
      EXPECT_LE(ratio, 1.10) << device << ", " << precision_name(precision);
      EXPECT_GE(ratio, 1.0);
    }
  }
}

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const ArchitectureEntry& entry : list_architectures()) names.push_back(entry.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Architectures, Arena,
                         testing::Combine(testing::ValuesIn(architecture_names()),
                                          testing::Values(1, 8)),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_batch" +
                                  std::to_string(std::get<1>(test.param));
                         });

void expect_constants(const Dispatch& dispatch) {
  EXPECT_EQ(dispatch.constants.size(),
            reflect(shader_spirv(dispatch.shader)).value().specialization_constants)
      << shader_name(dispatch.shader);
}

// What a shader's specialization leaves out keeps the shader's default, in silence.
TEST(Plans, GiveEveryShaderAllItsConstants) {
  for (const auto device : {gpu, software}) {
    for (const char* name : {"resnet50", "vgg16", "cifar_resnet20", "resnext50_32x4d"}) {
      for (const Dispatch& dispatch : plan(device(), name, 1).dispatches)
        expect_constants(dispatch);
    }
  }
  for (const auto device : {gpu, gpu_with_matrices, software}) {
    for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
      const Plan made = training_plan(device(), "resnet18", 8, precision);
      for (const Dispatch& dispatch : made.dispatches) expect_constants(dispatch);
    }
  }
}

// The stem, of three channels, too. A linear layer of one image waits for its weights alone.
TEST(Plans, MultiplyHalvesByMatrixUnitsInEveryLayerOfAResNet) {
  if (shader_spirv(ShaderId::conv2d_coopmat).empty()) {
    CALDERA_SKIP_UNLESS_REQUIRED("built by a compiler without cooperative matrices")
  }
  for (const int64_t batch : {1, 256}) {
    const Plan made = plan(gpu_with_matrices(), "resnet50", batch, Precision::kFp16);
    int layers = 0;
    for (size_t i = 0; i < made.graph.nodes.size(); ++i) {
      const OpKind kind = made.graph.nodes[i].kind();
      if (kind != OpKind::kConv2d && (kind != OpKind::kLinear || batch == 1)) continue;
      ++layers;
      EXPECT_THAT(std::string(made.kernels[i]->name), testing::HasSubstr("_coopmat_"))
          << made.graph.nodes[i].name << ", batch " << batch;
    }
    EXPECT_EQ(layers, batch == 1 ? 53 : 54);
  }
}

// The kernels of all weight gradients of a step, by the name before their tile's.
std::set<std::string> weight_gradients(const Capabilities& capabilities, const std::string& net,
                                       Precision precision) {
  const Plan made = training_plan(capabilities, net, /*batch=*/32, precision);
  std::set<std::string> families;
  for (size_t i = 0; i < made.graph.nodes.size(); ++i) {
    if (made.graph.nodes[i].kind() != OpKind::kConv2dWeightGradient) continue;
    const std::string name(made.kernels[i]->name);
    families.insert(name.substr(0, name.find_last_not_of("x0123456789_") + 1));
  }
  return families;
}

// Every convolution of a large batch whose groups are whole loads.
TEST(Plans, SumWeightGradientsOfHalvesByMatrixUnits) {
  if (shader_spirv(ShaderId::weight_gradient_coopmat).empty()) {
    CALDERA_SKIP_UNLESS_REQUIRED("built by a compiler without cooperative matrices")
  }
  for (const auto& [net, layers] :
       {std::pair("resnet18", 20), std::pair("resnet50", 53), std::pair("cifar_resnet20", 19),
        std::pair("vgg16_bn", 13), std::pair("resnext50_32x4d", 50)}) {
    SCOPED_TRACE(net);
    const Plan made = training_plan(gpu_with_matrices(), net, /*batch=*/256, Precision::kFp16);
    int held = 0;
    for (size_t i = 0; i < made.graph.nodes.size(); ++i) {
      const Node& node = made.graph.nodes[i];
      if (node.kind() != OpKind::kConv2dWeightGradient) continue;
      const Shape& weight = made.graph.value(node.updates[0]).shape;
      const auto groups = std::get<Conv2dWeightGradientAttrs>(node.attrs).groups;
      const bool whole_loads = groups == 1 || weight[1] % 8 == 0;
      if (!whole_loads || weight.size() != 4) continue;
      ++held;
      EXPECT_THAT(std::string(made.kernels[i]->name), testing::HasSubstr("_coopmat_")) << node.name;
    }
    EXPECT_EQ(held, layers);
  }
}

TEST(Plans, SumWeightGradientsByWhatEachKindOfDeviceIsFastAt) {
  using testing::AllOf;
  using testing::Contains;
  using testing::ElementsAre;
  using testing::Not;
  const bool matrices = !shader_spirv(ShaderId::weight_gradient_coopmat).empty();
  for (const char* net :
       {"resnet18", "resnet50", "cifar_resnet20", "vgg16_bn", "resnext50_32x4d"}) {
    SCOPED_TRACE(net);
    for (const Precision precision : {Precision::kFp32, Precision::kFp16}) {
      EXPECT_THAT(weight_gradients(gpu(), net, precision),
                  ElementsAre("conv2d_weight_gradient_gemm"));
    }
    const auto by_matrices = weight_gradients(gpu_with_matrices(), net, Precision::kFp16);
    EXPECT_THAT(by_matrices, Contains(matrices ? "conv2d_weight_gradient_coopmat"
                                               : "conv2d_weight_gradient_gemm"));
    EXPECT_THAT(by_matrices, testing::IsSubsetOf({"conv2d_weight_gradient_coopmat",
                                                  "conv2d_weight_gradient_gemm"}));
  }
  for (const char* net : {"resnet18", "resnet50", "cifar_resnet20"}) {
    SCOPED_TRACE(net);
    // A small head may be left to the direct one.
    EXPECT_THAT(weight_gradients(software(), net, Precision::kFp32),
                AllOf(Contains("conv2d_weight_gradient_subgroup"),
                      Contains("conv2d_weight_gradient_winograd"),
                      Not(Contains("conv2d_weight_gradient_gemm"))));
    EXPECT_THAT(weight_gradients(software_of_four_lanes(), net, Precision::kFp32),
                ElementsAre("conv2d_weight_gradient_direct"));
  }
}

Costs costs_of(const Plan& made) {
  std::set<std::tuple<ShaderId, std::vector<uint32_t>, uint32_t>> pipelines;
  uint64_t traffic = 0;
  for (const Dispatch& dispatch : made.dispatches) {
    pipelines.emplace(dispatch.shader, dispatch.constants, dispatch.required_subgroup_size);
    traffic += dispatch.bytes();
  }
  return {made.dispatches.size(), pipelines.size(), made.memory.bytes, traffic};
}

struct Shares {
  double cheap, blocks;
};

// Of training steps: bytes of the arena as shares of what it is with everything kept. Of CIFAR nets
// Winograd's workspaces, which nothing makes smaller, are a part on software drivers.
struct TrainingBound {
  std::string net;
  int64_t batch;
  Shares gpu, software;
};

void PrintTo(const TrainingBound& bound, std::ostream* out) {
  *out << bound.net;
}

class TrainingArena : public testing::TestWithParam<TrainingBound> {};

TEST_P(TrainingArena, ShrinksByWhatIsMadeAgain) {
  const TrainingBound& bound = GetParam();
  const Graph forward = build_graph(find_architecture(bound.net).value(), bound.batch).value();
  const Weights weights = hollow_weights(forward);
  for (const bool on_gpu : {true, false}) {
    SCOPED_TRACE(on_gpu ? "gpu" : "software");
    const Capabilities capabilities = on_gpu ? gpu() : software();
    const Shares& shares = on_gpu ? bound.gpu : bound.software;
    const auto memory = [&](Checkpointing checkpointing) {
      TrainingSpec spec;
      spec.optimizer.momentum = 0.9f;
      spec.checkpointing = checkpointing;
      const Graph graph = make_training_graph(forward, spec).value().graph;
      return make_plan(capabilities, "a device", graph, weights, {}).value().memory;
    };
    const auto kept = static_cast<double>(memory(Checkpointing::kNone).bytes);
    for (const auto& [mode, share] : {std::pair(Checkpointing::kCheap, shares.cheap),
                                      {Checkpointing::kBlocks, shares.blocks}}) {
      const MemoryPlan made = memory(mode);
      EXPECT_LE(static_cast<double>(made.bytes), share * kept) << checkpointing_name(mode);
      EXPECT_LE(static_cast<double>(made.bytes), 1.1 * static_cast<double>(made.lower_bound));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, TrainingArena,
    testing::Values(TrainingBound{"resnet50", 8, {0.63, 0.33}, {0.63, 0.33}},
                    TrainingBound{"preact_resnet50", 8, {0.60, 0.36}, {0.60, 0.36}},
                    TrainingBound{"cifar_resnet20", 128, {0.62, 0.34}, {0.66, 0.39}},
                    TrainingBound{"cifar_resnet56", 128, {0.58, 0.21}, {0.59, 0.22}}),
    [](const auto& test) { return test.param.net; });

// Whatever memory a device has, no block of it is of more than 4 GiB.
TEST(TrainingBlocks, HoldAResNet50AtBatch256) {
  const Graph forward = build_graph(find_architecture("resnet50").value(), 256).value();
  TrainingSpec spec;
  spec.optimizer.momentum = 0.9f;
  const Graph graph = make_training_graph(forward, spec).value().graph;
  const Weights weights = hollow_weights(forward);
  for (const auto& [precision, most] :
       {std::pair(Precision::kFp32, size_t{6}), std::pair(Precision::kFp16, size_t{3})}) {
    SCOPED_TRACE(precision_name(precision));
    const Plan made =
        make_plan(gpu_with_matrices(), "a device", graph, weights, {.precision = precision})
            .value();
    const auto within = testing::Each(testing::Lt(uint64_t{1} << 32));
    EXPECT_THAT(made.memory.blocks, within);
    EXPECT_THAT(made.states.blocks, within);
    EXPECT_THAT(made.weights_blocks, within);
    EXPECT_GT(made.memory.bytes, uint64_t{1} << 32);
    EXPECT_LE(made.memory.blocks.size(), most);
    EXPECT_LE(static_cast<double>(made.memory.bytes),
              1.01 * static_cast<double>(made.memory.lower_bound));
    for (const Dispatch& dispatch : made.dispatches) {
      for (const Binding& binding : dispatch.bindings) {
        EXPECT_LE(binding.size, gpu().max_storage_buffer_range);
      }
    }
  }
}

class Cost : public testing::TestWithParam<Bound> {};

TEST_P(Cost, IsNoMoreThanWasRecorded) {
  const Bound& bound = GetParam();
  const Costs costs = costs_of(plan(bound.device(), bound.net, /*batch=*/1, bound.precision));
  EXPECT_LE(costs.dispatches, bound.most.dispatches);
  EXPECT_LE(costs.pipelines, bound.most.pipelines);
  EXPECT_LE(costs.arena, bound.most.arena);
  EXPECT_LE(costs.traffic, bound.most.traffic);
}

INSTANTIATE_TEST_SUITE_P(Nets, Cost, testing::ValuesIn(kBounds), [](const auto& test) {
  const Bound& bound = test.param;
  return bound.net + "_" + (bound.device == gpu ? "gpu" : "software") + "_" +
         std::string(precision_name(bound.precision));
});

}  // namespace
}  // namespace caldera::test
