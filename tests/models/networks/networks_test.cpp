// Every architecture of the papers on a device, with the weights, inputs and logits that PyTorch
// saved (reference_nets.py): fused and unfused, in batches of 1, 3 and 8.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include <gtest/gtest.h>

#include "caldera/architecture.h"
#include "caldera/npy.h"
#include "caldera/reference.h"
#include "caldera/session.h"

#include "graph/test_hooks.h"
#include "tests/graph/small_blocks.h"
#include "tests/support/device.h"
#include "tests/support/share.h"

namespace caldera {
namespace {

struct Case {
  Architecture architecture;
  Size2d size;
  Weights weights;
  int64_t images = 0;
  std::vector<float> input;
  std::vector<float> logits;
};

std::filesystem::path folder() {
  const char* given = std::getenv("CALDERA_REFERENCE_NETS");
  return given ? given : "";
}

nlohmann::json read_cases() {
  std::ifstream file(folder() / "manifest.json");
  return nlohmann::json::parse(file)["cases"];
}

// Started by hand, without CTest's fixture.
#define REQUIRE_NETS()                     \
  if (!exists(folder() / "manifest.json")) \
  CALDERA_SKIP_UNLESS_REQUIRED(            \
      "set CALDERA_REFERENCE_NETS to a folder that reference_nets.py filled")

std::vector<float> floats_of(const std::filesystem::path& path) {
  const Tensor tensor = read_npy(path).value();
  return {tensor.floats().begin(), tensor.floats().end()};
}

Case read_case(const nlohmann::json& entry) {
  const auto file = [&](const char* key) { return folder() / entry[key].get<std::string>(); };
  Case net;
  net.architecture = find_architecture(entry["architecture"].get<std::string>()).value();
  net.size = {entry["height"].get<int32_t>(), entry["width"].get<int32_t>()};
  net.images = entry["batch"].get<int64_t>();
  const Graph graph = build_graph(net.architecture, 1, net.size).value();
  const Checkpoint checkpoint = read_checkpoint(file("file")).value();
  net.weights = bind_weights(graph, canonical_names(checkpoint, net.architecture)).value();
  net.input = floats_of(file("input"));
  net.logits = floats_of(file("logits"));
  return net;
}

// The case's images, over and over, until there are `batch` of them.
std::vector<float> cycle(const std::vector<float>& values, int64_t images, int64_t batch) {
  const size_t each = values.size() / static_cast<size_t>(images);
  std::vector<float> cycled;
  for (int64_t i = 0; i < batch; ++i) {
    const auto from = values.begin() + static_cast<int64_t>(each) * (i % images);
    cycled.insert(cycled.end(), from, from + static_cast<int64_t>(each));
  }
  return cycled;
}

std::vector<float> logits_of(Session& session, const Case& net, int64_t batch) {
  std::vector<float> logits(static_cast<size_t>(batch * net.architecture.classes), NAN);
  const Status ran = session.run(cycle(net.input, net.images, batch), logits);
  EXPECT_TRUE(ran.ok()) << ran.error().message;
  return logits;
}

// What a driver does in the time that a test may take, beyond one fused image: SwiftShader, with
// subgroups of four, makes a few GFLOP/s, the others tens.
int64_t affordable_work(const Device& device) {
  return device.info().subgroup_size < 8 ? 300'000'000 : 12'000'000'000;
}

bool affordable(const Device& device, int64_t work, bool fuse, int64_t batch) {
  const bool one_image = fuse && batch == 1 && work <= 5'000'000'000;
  return one_image || work <= affordable_work(device);
}

// One fused image runs on every driver. The others, counted by `turn`, lavapipe and lavapipe-next
// have in turns, and SwiftShader a quarter, as far as it affords them.
bool runs_elsewhere(int turn) {
  if (test::takes_all_cases()) return false;
  if (test::driver() == "lavapipe") return turn % 2 != 0;
  if (test::driver() == "lavapipe-next") return turn % 2 == 0;
  return test::driver() == "swiftshader" && turn % 4 != 0;
}

double tolerance(const Architecture& architecture) {
  return architecture.name.ends_with("1202") ? 1e-3 : 1e-4;
}

TEST(Networks, LogitsArePyTorchsInEveryBatchFusedAndNotAndInSmallBlocks) {
  CALDERA_REQUIRE_DEVICE(device);
  REQUIRE_NETS()
  const nlohmann::json cases = read_cases();
  ASSERT_GT(cases.size(), 40u);
  int checked = 0, left_out = 0, elsewhere = 0, turn = 0;
  for (const nlohmann::json& entry : cases) {
    const Case net = read_case(entry);
    const std::string name = net.architecture.full_name();
    const int64_t image_work = multiply_adds(build_graph(net.architecture, 1, net.size).value());
    for (const bool fuse : {true, false}) {
      int64_t spent = 0;
      for (const int64_t batch : {1, 3, 8}) {
        spent += image_work * batch;
        if (!(fuse && batch == 1) && runs_elsewhere(turn++)) {
          ++elsewhere;
          continue;
        }
        if (!affordable(device, spent, fuse, batch)) {
          ++left_out;
          continue;
        }
        ++checked;
        SCOPED_TRACE(name + ", batch " + std::to_string(batch) + (fuse ? ", fused" : ", unfused"));
        const Graph graph = build_graph(net.architecture, batch, net.size).value();
        const SessionOptions options{.fuse = fuse};
        auto session = Session::create(device, graph, net.weights, options);
        ASSERT_TRUE(session.ok()) << session.error().message;
        const std::vector<float> logits = logits_of(*session, net, batch);
        EXPECT_LT(relative_l2(logits, cycle(net.logits, net.images, batch)),
                  tolerance(net.architecture));
        if (!fuse || batch > 1) continue;
        const Capabilities limits = test::with_blocks(device, test::third_of_arena(*session));
        auto small = create_session_within(limits, device, graph, net.weights, options);
        ASSERT_TRUE(small.ok()) << small.error().message;
        EXPECT_GT(small->stats().arena_blocks.size(), 1u);
        EXPECT_EQ(logits_of(*small, net, batch), logits);
      }
    }
  }
  std::printf(
      "%d runs checked, %d on another driver; %d left out, for the time that they would "
      "take on this driver\n",
      checked, elsewhere, left_out);
  EXPECT_GT(checked, 40);
}

// Each variant of a convolution carries whole networks, not only the layers that it is chosen for.
// A CPU driver compiles tiles for GPUs for seconds a layer: there the smallest stands for the
// others in all networks but one.
TEST(Networks, LogitsArePyTorchsByEveryConvolutionKernel) {
  CALDERA_REQUIRE_DEVICE(device);
  REQUIRE_NETS()
  const nlohmann::json cases = read_cases();
  const bool cpu = device.info().type == DeviceType::kCpu;
  const std::set<std::string> chosen{"cifar_resnet20", "resnext50_32x4d", "preact_resnet34"};
  for (const nlohmann::json& entry : cases) {
    if (!chosen.contains(entry["architecture"].get<std::string>())) continue;
    const Case net = read_case(entry);
    if (multiply_adds(build_graph(net.architecture, 1, net.size).value()) > 300'000'000) continue;
    const Graph graph = build_graph(net.architecture, 1, net.size).value();
    for (const std::string& kernel : kernel_names()) {
      if (!kernel.starts_with("conv2d_")) continue;
      const bool tile =
          kernel.find("_gemm_") != kernel.npos || kernel.find("_coopmat") != kernel.npos;
      if (cpu && tile && !kernel.ends_with("_32x32") && net.architecture.name != "cifar_resnet20") {
        continue;
      }
      SessionOptions options;
      options.kernels = {kernel};
      auto session = Session::create(device, graph, net.weights, options);
      ASSERT_TRUE(session.ok()) << session.error().message;
      std::vector<float> logits(static_cast<size_t>(net.architecture.classes), NAN);
      ASSERT_TRUE(session->run(cycle(net.input, net.images, 1), logits).ok());
      EXPECT_LT(relative_l2(logits, cycle(net.logits, net.images, 1)), 1e-4)
          << net.architecture.full_name() << " by " << kernel;
    }
  }
}

}  // namespace
}  // namespace caldera
