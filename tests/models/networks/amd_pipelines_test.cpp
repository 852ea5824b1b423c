// Every kernel variant, compiled for AMD's GPUs by their driver's own compiler, without such a GPU:
// the pipelines of the networks' plans and, forced, of each other variant that the device takes.
// None may need memory for what its registers do not hold. With --table FILE in place of
// tests: what they take, between the two marks in FILE (docs/platforms.md).
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "caldera/architecture.h"
#include "caldera/autodiff.h"

#include "graph/emitter.h"
#include "graph/plan.h"
#include "graph/precision.h"
#include "runtime/parallel.h"
#include "runtime/shader.h"
#include "tests/models/architectures/hollow.h"
#include "tests/models/networks/amd_compiler.h"
#include "tests/support/require.h"

namespace caldera::test {
namespace {

// RADV's names: RDNA 3, RDNA 2, and two generations of GCN.
const std::vector<std::string> kFamilies = {"navi31", "navi21", "vega10", "polaris10"};

struct Compiled {
  PipelineKey key;
  bool chosen = false;  // By a plan of its own accord.
  Status made;
  PipelineUse use;
};

// The distinct pipelines of plans for one device, and the kernel variants that make them.
class Plans {
 public:
  explicit Plans(const Capabilities& capabilities) : capabilities_(capabilities) {}

  void add(const Graph& graph, const SessionOptions& given = {}) {
    const Weights weights = hollow_weights(graph);
    SessionOptions options = given;
    for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16}) {
      if (supported_precision(capabilities_, precision) != precision) continue;
      options.precision = precision;
      const auto plan = make_plan(capabilities_, "a device", graph, weights, options);
      ASSERT_TRUE(plan.ok()) << plan.error().message;
      add(plan->dispatches, /*chosen=*/true);
      add_every_variant(*plan);
    }
  }

  std::vector<Compiled> pipelines() const {
    std::vector<Compiled> list;
    for (const auto& [key, chosen] : chosen_) list.push_back({key, chosen, {}, {}});
    return list;
  }
  // Names of those that the device takes for some node.
  const std::set<std::string_view>& variants() const { return variants_; }

 private:
  void add(const std::vector<Dispatch>& dispatches, bool chosen) {
    for (const Dispatch& dispatch : dispatches) {
      PipelineKey key;
      key.shader = dispatch.shader;
      key.constants = dispatch.constants;
      key.required_subgroup_size = dispatch.required_subgroup_size;
      chosen_[key] |= chosen;
    }
  }

  // What the plan might have chosen for each node, as it emits what it chose.
  void add_every_variant(const Plan& plan) {
    std::vector<Dispatch> dispatches;
    std::vector<PackedWeight> weights;
    std::vector<uint64_t> workspaces;
    Emitter emitter(capabilities_, plan.graph, plan.states, dispatches, weights, workspaces);
    for (const Node& node : plan.graph.nodes) {
      emitter.set_node(id_of(plan.graph, node));
      for (const KernelVariant& variant : kernel_variants(node.kind())) {
        if (!variant.emit) continue;
        if (variant.supported && !variant.supported({capabilities_, plan.graph, node})) continue;
        emitter.set_images(0, variant.whole_batch ? 1 : emitter.shape(node.output()).n);
        variant.emit(emitter, node);
        variants_.insert(variant.name);
      }
    }
    add(dispatches, /*chosen=*/false);
  }

  const Capabilities& capabilities_;
  std::map<PipelineKey, bool> chosen_;
  std::set<std::string_view> variants_;
};

// The operators, and shapes of theirs, that the two networks lack.
Graph rare_operators() {
  GraphBuilder b;
  ValueId x = b.input("x", {4, 8, 32, 32});
  x = b.conv2d("depthwise", x, 8, {3, 3}, {.padding = {1, 1}, .groups = 8});
  x = b.batch_norm("bn", x);
  x = b.activation("act", x, Activation::kHardSwish);
  x = b.dropout("dropout", x, {});
  x = b.concat("concat", {x, b.conv2d("odd", x, 3, {1, 1})});
  x = b.multiply("gated", x, b.adaptive_avg_pool2d("gate", x, {}));
  x = b.avg_pool2d("pool", x, {.kernel = {2, 2}, .stride = {2, 2}});
  x = b.pad("pad", x, {.channels_before = 1, .channels_after = 4});
  x = b.conv2d("grouped", x, 64, {3, 3}, {.groups = 2, .bias = true});
  x = b.softmax("softmax", b.flatten("flatten", b.subsample("subsample", x, {})));
  b.output(b.linear("fc", x, 10));
  return std::move(b).finish().value();
}

Plans plan_networks(const Capabilities& capabilities) {
  Plans plans(capabilities);
  const auto add_training = [&](const Graph& forward, const TrainingSpec& spec) {
    const auto training = make_training_graph(forward, spec);
    ASSERT_TRUE(training.ok()) << training.error().message;
    plans.add(training->graph);
  };
  for (const char* name : {"resnet50", "cifar_resnet20"}) {
    const Architecture architecture = find_architecture(name).value();
    for (const int64_t batch : {1, 64}) plans.add(build_graph(architecture, batch).value());
    add_training(build_graph(architecture, 32).value(), {});
  }
  const auto cifar = find_architecture("cifar_resnet20").value();
  plans.add(build_graph(cifar, 64).value(), {.pixels = std::make_shared<const PixelValues>()});
  const Graph rare = rare_operators();
  plans.add(rare, {.fuse = false, .full_precision = {"pool"}});
  add_training(rare, {});
  add_training(rare, {.batch_norm = BatchNormMode::kFrozen});
  return plans;
}

// Whether the networks and those operators make a device of such capabilities run the variant.
bool runs_on(const Capabilities& can, std::string_view variant) {
  const auto is = [&](std::string_view part) { return variant.find(part) != variant.npos; };
  if (is("_coopmat_")) {
    return can.cooperative_matrix && !shader_spirv(ShaderId::conv2d_coopmat).empty();
  }
  // Their sums are more than a GPU's registers are given for.
  if (variant == "conv2d_subgroup_64x4" || variant == "conv2d_winograd4_64x4") return false;
  // RADV lets a pipeline ask for its subgroups' size from RDNA on.
  const bool by_lanes = is("_subgroup") || is("_winograd") || variant == "linear_panel";
  return !by_lanes || can.subgroup_size_control;
}

std::vector<Compiled> compile_all(AmdCompiler& compiler, const Plans& plans) {
  std::vector<Compiled> list = plans.pipelines();
  parallel_for(static_cast<int64_t>(list.size()), [&](int64_t i) {
    Compiled& one = list[static_cast<size_t>(i)];
    auto use = compiler.compile(one.key);
    if (use.ok())
      one.use = *use;
    else
      one.made = use.error();
  });
  return list;
}

std::string describe(const PipelineKey& key) {
  return fmt::format("{} {}", shader_name(key.shader), fmt::join(key.constants, ","));
}

void print(const std::string& family, const Compiled& one) {
  const PipelineUse& use = one.use;
  fmt::print("{:9} {:58} {:3} {:5} {:5} {:7} {:7} {:6} {:5} {}\n", family, describe(one.key),
             use.subgroup_size, use.vector_registers, use.scalar_registers,
             use.spilled_vector_registers + use.spilled_scalar_registers, use.scratch_bytes,
             use.shared_bytes, use.subgroups_a_simd, one.chosen ? "chosen" : "forced");
}

class Amd : public testing::TestWithParam<std::string> {};

TEST_P(Amd, CompilesEveryPipelineWithinItsRegisters) {
  auto opened = AmdCompiler::open(GetParam());
  if (!opened.ok()) CALDERA_SKIP_UNLESS_REQUIRED(opened.error().message)
  AmdCompiler& compiler = **opened;
  const Capabilities& can = compiler.capabilities();
  // So that no driver has less to compile in silence.
  EXPECT_TRUE(can.storage16);
  EXPECT_EQ(can.fp16, GetParam() != "polaris10");
  if (!shader_spirv(ShaderId::conv2d_coopmat).empty()) {
    EXPECT_EQ(can.cooperative_matrix, GetParam() == "navi31");
  }
  const Plans plans = plan_networks(can);
  const std::vector<Compiled> list = compile_all(compiler, plans);

  fmt::print("{:9} {:58} {:>3} {:>5} {:>5} {:>7} {:>7} {:>6} {:>5}\n", "family",
             "shader, constants", "sg", "VGPRs", "SGPRs", "spilled", "scratch", "LDS", "a SIMD");
  for (const Compiled& one : list) {
    SCOPED_TRACE(describe(one.key));
    EXPECT_TRUE(one.made.ok()) << one.made.error().message;
    if (!one.made.ok()) continue;
    print(GetParam(), one);
    EXPECT_EQ(one.use.scratch_bytes, 0u);
    EXPECT_EQ(one.use.spilled_vector_registers, 0u);
    EXPECT_GT(one.use.vector_registers, 0u);
    EXPECT_GT(one.use.subgroups_a_simd, 0u);
    EXPECT_LE(one.use.shared_bytes, can.max_shared_memory);
    if (one.key.required_subgroup_size != 0) {
      EXPECT_EQ(one.use.subgroup_size, one.key.required_subgroup_size);
    }
  }
  for (const std::string& name : kernel_names()) {
    EXPECT_EQ(plans.variants().contains(name), runs_on(can, name)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Amd, testing::ValuesIn(kFamilies),
                         [](const auto& test) { return test.param; });

// A shader's worst pipeline, in any storage.
struct Worst {
  uint64_t vector_registers = 0;
  uint64_t shared_bytes = 0;
  uint64_t subgroups_a_simd = UINT64_MAX;

  void add(const PipelineUse& use) {
    vector_registers = std::max(vector_registers, use.vector_registers);
    shared_bytes = std::max(shared_bytes, use.shared_bytes);
    subgroups_a_simd = std::min(subgroups_a_simd, use.subgroups_a_simd);
  }
};

std::string name_without_storage(ShaderId shader) {
  const std::string_view name = shader_name(shader);
  for (const std::string_view storage : {"_f16", "_bf16"}) {
    if (name.ends_with(storage)) return std::string(name.substr(0, name.size() - storage.size()));
  }
  return std::string(name);
}

Result<std::string> table() {
  std::map<std::string, std::map<std::string, Worst>> shaders;  // By shader, by family.
  std::string head = "| shader |";
  std::string rule = "| --- |";
  std::string sizes = "| lanes of a subgroup |";
  std::string counts = "| pipelines compiled |";
  for (const std::string& family : kFamilies) {
    CALDERA_TRY_ASSIGN(AmdCompiler * compiler, AmdCompiler::open(family));
    std::set<uint32_t> lanes;
    const std::vector<Compiled> list =
        compile_all(*compiler, plan_networks(compiler->capabilities()));
    for (const Compiled& one : list) {
      CALDERA_TRY(one.made);
      shaders[name_without_storage(one.key.shader)][family].add(one.use);
      lanes.insert(one.use.subgroup_size);
    }
    head += " " + family + " |";
    rule += " --- |";
    sizes += fmt::format(" {} |", fmt::join(lanes, " or "));
    counts += fmt::format(" {} |", list.size());
  }
  std::string text = fmt::format("{}\n{}\n{}\n{}\n", head, rule, sizes, counts);
  for (const auto& [shader, families] : shaders) {
    text += fmt::format("| `{}` |", shader);
    for (const std::string& family : kFamilies) {
      const auto found = families.find(family);
      text += found == families.end()
                  ? " |"
                  : fmt::format(" {}, {:g}, {} |", found->second.vector_registers,
                                static_cast<double>(found->second.shared_bytes) / 1024,
                                found->second.subgroups_a_simd);
    }
    text += "\n";
  }
  return text;
}

// Puts the table between the marks.
Status write_table(const std::string& path) {
  constexpr std::string_view kBegin = "<!-- amd_pipelines_test begins -->\n";
  constexpr std::string_view kEnd = "<!-- amd_pipelines_test ends -->\n";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const size_t begin = text.find(kBegin);
  const size_t end = text.find(kEnd);
  if (begin == text.npos || end == text.npos || end < begin) {
    return Error{ErrorCode::kInvalidInput, path + " has no marks that the table goes between"};
  }
  CALDERA_TRY_ASSIGN(const std::string made, table());
  const size_t start = begin + kBegin.size();
  text.replace(start, end - start, made);
  std::ofstream out(path);
  if (!(out << text << std::flush)) return Error{ErrorCode::kIo, "cannot write " + path};
  return {};
}

}  // namespace
}  // namespace caldera::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  int failed = 0;
  if (argc == 3 && std::string_view(argv[1]) == "--table") {
    const caldera::Status written = caldera::test::write_table(argv[2]);
    if (!written.ok()) fmt::print("{}\n", written.error().message);
    failed = !written.ok();
  } else {
    failed = RUN_ALL_TESTS();
  }
  std::fflush(stdout);
  ::_exit(failed);  // What closes at a program's end would close the devices.
}
