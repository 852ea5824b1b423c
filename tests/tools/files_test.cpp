// Model files through `inspect` and `convert`, without any Vulkan device: round trips, what is
// printed of them, and damaged files.
#include <fstream>

#include <gmock/gmock.h>

#include "caldera/caldera.h"

#include "tests/support/paths.h"
#include "tests/tools/program.h"

namespace caldera::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void expect_same_tensors(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    const Tensor* other = b.find(name);
    ASSERT_TRUE(other) << name;
    EXPECT_EQ(tensor.dtype(), other->dtype()) << name;
    EXPECT_EQ(tensor.shape(), other->shape()) << name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), other->bytes())) << name;
  }
}

// Random weights as a file, for tests that need no trained ones.
std::string small_model(const ScratchDir& scratch) {
  const std::string path = scratch / "small.safetensors";
  const Outcome made = run_without_driver({"convert", "cifar_resnet20", path, "--seed", "5"});
  EXPECT_EQ(made.code, 0) << made.err;
  return path;
}

TEST(Convert, KeepsEveryBitFromOldPyTorchToCalderaToPyTorch) {
  CALDERA_REQUIRE_DATA(data);
  const ScratchDir scratch;
  const std::string original = data / "checkpoints" / "resnet20-12fca82f.th";
  const std::string caldera = scratch / "a.safetensors";
  const std::string pytorch = scratch / "b.pth";
  const nlohmann::json json =
      expect_json(run_without_driver({"convert", original, caldera, "--json"}));
  EXPECT_THAT(keys(json),
              UnorderedElementsAre("output", "format", "architecture", "tensors", "bytes"));
  EXPECT_EQ(json["architecture"], "cifar_resnet20");
  EXPECT_EQ(run_without_driver({"convert", caldera, pytorch}).code, 0);

  const Result<Checkpoint> before = read_checkpoint(original);
  const Result<Checkpoint> after = read_checkpoint(pytorch);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(after->format, CheckpointFormat::kPyTorchZip);
  expect_same_tensors(*before, *after);
}

TEST(Convert, GivesTheSameBytesForTheSameSeed) {
  const ScratchDir scratch;
  const std::string a = small_model(scratch);
  const std::string b = scratch / "again.safetensors";
  EXPECT_EQ(run_without_driver({"convert", "cifar_resnet20", b, "--seed", "5"}).code, 0);
  EXPECT_EQ(bytes_of(a), bytes_of(b));
  EXPECT_EQ(run_without_driver({"convert", "cifar_resnet20", b, "--seed", "6", "-f"}).code, 0);
  EXPECT_NE(bytes_of(a), bytes_of(b));
}

TEST(Convert, PutsLabelsAndPreprocessingIntoTheFile) {
  const ScratchDir scratch;
  const std::string labels = scratch / "labels.txt";
  std::ofstream(labels) << "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
  const std::string labelled = scratch / "labelled.safetensors";
  const Outcome made = run_without_driver(
      {"convert", small_model(scratch), labelled, "--labels", labels, "--preprocess", "none"});
  EXPECT_EQ(made.code, 0) << made.err;
  const nlohmann::json json = expect_json(run_without_driver({"inspect", labelled, "--json"}));
  EXPECT_EQ(json["labels"].size(), 10u);
  EXPECT_EQ(json["labels"][9], "j");
  EXPECT_EQ(json["preprocess"]["name"], "none");
}

TEST(Convert, ReplacesAFileOnlyWhenTold) {
  const ScratchDir scratch;
  const std::string path = small_model(scratch);
  const std::string before = bytes_of(path);
  const std::string error = expect_refused(run_without_driver({"convert", "cifar_resnet32", path}));
  EXPECT_THAT(error, HasSubstr("--force"));
  EXPECT_EQ(bytes_of(path), before);
}

TEST(Inspect, TellsWhatIsInAFileWithoutADevice) {
  const ScratchDir scratch;
  const nlohmann::json json =
      expect_json(run_without_driver({"inspect", small_model(scratch), "--json"}));
  EXPECT_THAT(keys(json),
              UnorderedElementsAre("file", "format", "bytes", "architecture", "input", "preprocess",
                                   "classes", "labels", "parameters", "multiply_adds", "batch",
                                   "weights_bytes", "activation_bytes", "device", "precision",
                                   "plan", "training", "problem", "tensors"));
  EXPECT_EQ(json["architecture"], "cifar_resnet20");
  EXPECT_EQ(json["classes"], 10);
  EXPECT_EQ(json["labels"][3], "cat");
  EXPECT_EQ(json["parameters"], 269722);
  EXPECT_TRUE(json["device"].is_null());
  EXPECT_TRUE(json["problem"].is_null());
  EXPECT_EQ(json["tensors"][0]["name"], "conv1.weight");
  EXPECT_EQ(json["tensors"][0]["shape"], (std::vector<int>{16, 3, 3, 3}));
}

TEST(Inspect, ShowsTheTensorsOfAnUnknownNet) {
  const ScratchDir scratch;
  const std::string path = scratch / "other.safetensors";
  Checkpoint checkpoint;
  checkpoint.tensors.push_back(
      {"encoder.weight", Tensor::from_floats({2, 3}, std::vector<float>(6))});
  ASSERT_TRUE(write_safetensors(path, checkpoint).ok());
  const Outcome outcome = run_without_driver({"inspect", path});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("encoder.weight"), HasSubstr("[2, 3]"),
                                 HasSubstr("architecture  unknown")));
  const nlohmann::json json = expect_json(run_without_driver({"inspect", path, "--json"}));
  EXPECT_TRUE(json["architecture"].is_null());
  EXPECT_THAT(json["problem"].dump(), HasSubstr("other.safetensors"));
}

TEST(Files, ThatAreCutShortOrAreNoneAreRefused) {
  const ScratchDir scratch;
  const std::string model = small_model(scratch);
  const std::string bytes = bytes_of(model);
  const std::string cut = scratch / "cut.safetensors";
  std::ofstream(cut, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  const std::string text = scratch / "text.pth";
  std::ofstream(text) << "not a model\n";
  const std::string empty = scratch / "empty.pth";
  std::ofstream{empty};
  for (const std::string& path : {cut, text, empty}) {
    for (const std::string command : {"inspect", "run", "verify"}) {
      EXPECT_THAT(expect_refused(run_without_driver({command, path})), HasSubstr(path));
    }
    EXPECT_THAT(expect_refused(run_without_driver({"convert", path, scratch / "out.pth"})),
                HasSubstr(path));
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.pth"));
}

}  // namespace
}  // namespace caldera::test
