// Trained checkpoints on real photographs: PyTorch's logits for 256 CIFAR-10 images.
#include <cmath>

#include <gtest/gtest.h>

#include "caldera/caldera.h"

#include "tests/support/device.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

// uint8 [N, H, W, 3] to normalised float32 [N, 3, H, W].
std::vector<float> preprocess(const Tensor& pixels, int64_t images) {
  const Preprocess cifar = find_preprocess("cifar10").value();
  std::vector<float> input;
  for (int64_t n = 0; n < images; ++n) {
    const auto* first = reinterpret_cast<const uint8_t*>(pixels.bytes().data()) + n * 3072;
    const Image image{32, 32, {first, first + 3072}};
    std::vector<float> planes(3072);
    normalize(image, cifar, planes);
    input.insert(input.end(), planes.begin(), planes.end());
  }
  return input;
}

struct Trained {
  const char* checkpoint;
  const char* logits;
};

class RealCheckpoint : public testing::TestWithParam<Trained> {};

TEST_P(RealCheckpoint, GivesPyTorchsLogits) {
  CALDERA_REQUIRE_DATA(data);
  CALDERA_REQUIRE_DEVICE(device);
  const auto model = Model::load(data / "checkpoints" / GetParam().checkpoint);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const Tensor pixels = read_npy(data / "cifar10" / "reference_pixels.npy").value();
  const Tensor expected = read_npy(data / "cifar10" / GetParam().logits).value();
  // Subgroups of four mean SwiftShader, which takes a second for 16 images.
  const int64_t images = device.info().subgroup_size < 8 ? 16 : 256;
  const int64_t batch = images / 2;
  const std::vector<float> input = preprocess(pixels, images);
  struct Run {
    bool fuse;
    Precision precision;
    double tolerance;
  };
  // Through 20 to 56 layers, each of whose results is rounded to 11 bits, or to 8.
  for (const Run& run : {Run{true, Precision::kFp32, 1e-4}, Run{false, Precision::kFp32, 1e-4},
                         Run{true, Precision::kFp16, 1e-2}, Run{true, Precision::kBf16, 6e-2}}) {
    if (supported_precision(device.info(), run.precision) != run.precision) continue;
    SessionOptions options;
    options.fuse = run.fuse;
    options.precision = run.precision;
    auto session = model->session(device, batch, options);
    ASSERT_TRUE(session.ok()) << session.error().message;
    std::vector<float> logits(static_cast<size_t>(images) * 10, NAN);
    for (int64_t first = 0; first < images; first += batch) {
      const auto from = static_cast<size_t>(first);
      const auto count = static_cast<size_t>(batch);
      const Status ran = session->run(std::span(input).subspan(from * 3072, count * 3072),
                                      std::span(logits).subspan(from * 10, count * 10));
      ASSERT_TRUE(ran.ok()) << ran.error().message;
    }
    const auto reference = expected.floats().first(logits.size());
    EXPECT_LT(relative_l2(logits, {reference.begin(), reference.end()}), run.tolerance)
        << precision_name(run.precision) << (run.fuse ? "" : ", unfused");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cifar10, RealCheckpoint,
    testing::Values(Trained{"resnet20-12fca82f.th", "reference_logits_resnet20.npy"},
                    Trained{"resnet44-014dd654.th", "reference_logits_resnet44.npy"},
                    Trained{"resnet56-4bfd9763.th", "reference_logits_resnet56.npy"}),
    [](const auto& given) { return std::string(given.param.checkpoint, 8); });

}  // namespace
}  // namespace caldera
