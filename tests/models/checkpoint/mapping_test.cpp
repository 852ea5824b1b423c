// Weights stay in the file: reading a checkpoint takes next to no memory of the process's own, and
// gives the bytes that reading into memory gives.
#include <algorithm>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "caldera/checkpoint.h"
#include "caldera/model.h"

#include "models/checkpoint/input_file.h"
#include "models/checkpoint/safetensors.h"
#include "tests/models/checkpoint/allocations.h"
#include "tests/support/paths.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

// Some 98 MiB, and a file of it in either format.
Checkpoint resnet50() {
  const Result<Model> model = Model::create("resnet50", 1);
  Checkpoint checkpoint;
  for (const auto& [name, tensor] : model->weights()) checkpoint.tensors.push_back({name, tensor});
  return checkpoint;
}

uint64_t bytes_of(const Checkpoint& checkpoint) {
  uint64_t bytes = 0;
  for (const NamedTensor& named : checkpoint.tensors) bytes += named.tensor.bytes().size();
  return bytes;
}

// A line of /proc/self/status in bytes; 0 where there is none.
uint64_t status_of_process(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1)) << 10;
  }
  return 0;
}

float sum(const Checkpoint& checkpoint) {
  float total = 0;
  for (const NamedTensor& named : checkpoint.tensors) {
    if (named.tensor.dtype() != DType::kF32) continue;
    for (const float value : named.tensor.to_f32().floats()) total += value;
  }
  return total;
}

class Mapping : public ::testing::TestWithParam<CheckpointFormat> {
 protected:
  fs::path write(const Checkpoint& checkpoint) const {
    const bool zip = GetParam() == CheckpointFormat::kPyTorchZip;
    const fs::path path = scratch_ / (zip ? "a.pth" : "a.safetensors");
    const Status written =
        zip ? write_pytorch(path, checkpoint) : write_safetensors(path, checkpoint);
    EXPECT_TRUE(written) << written.error().message;
    return path;
  }

  ScratchDir scratch_;
};

TEST_P(Mapping, HoldsModelsOfFloatsWithoutMemoryOfTheirOwn) {
  const fs::path path = write(resnet50());
  const uint64_t before = status_of_process("RssAnon");
  const AllocationWatch watch;
  const Result<Model> model = Model::load(path);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_LT(watch.peak(), 4u << 20);
  Checkpoint held;
  for (const auto& [name, tensor] : model->weights()) held.tensors.push_back({name, tensor});
  EXPECT_GT(bytes_of(held), 97u << 20);
  EXPECT_NE(sum(held), 0.0f);  // Touches every page.
  if (before == 0) CALDERA_SKIP_UNLESS_REQUIRED("no /proc/self/status")
  EXPECT_LT(status_of_process("RssAnon"), before + (8u << 20));
  EXPECT_GT(status_of_process("RssFile"), 97u << 20);
}

void expect_same_bytes(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const NamedTensor& named : a.tensors) {
    const Tensor* other = b.find(named.name);
    ASSERT_NE(other, nullptr) << named.name;
    EXPECT_TRUE(std::ranges::equal(named.tensor.bytes(), other->bytes())) << named.name;
  }
}

TEST_P(Mapping, GivesTheBytesThatWereWritten) {
  const Checkpoint written = resnet50();
  const Result<Checkpoint> mapped = read_checkpoint(write(written));
  ASSERT_TRUE(mapped.ok()) << mapped.error().message;
  expect_same_bytes(written, *mapped);
}

// As every writer of Caldera does it, onto the file that it reads from too.
TEST_P(Mapping, KeepsItsBytesWhereTheFileIsReplaced) {
  const Result<Model> model = Model::create("cifar_resnet20", 1);
  ASSERT_TRUE(model.ok());
  Checkpoint checkpoint;
  for (const auto& [name, tensor] : model->weights()) checkpoint.tensors.push_back({name, tensor});
  const fs::path path = write(checkpoint);
  const Result<Checkpoint> mapped = read_checkpoint(path);
  ASSERT_TRUE(mapped.ok());
  const float before = sum(*mapped);
  Checkpoint smaller;
  smaller.tensors.push_back({"one", Tensor::from_floats({1}, {1})});
  write(smaller);
  EXPECT_EQ(sum(*mapped), before);
  EXPECT_EQ(write(*mapped), path);
  const Result<Checkpoint> again = read_checkpoint(path);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(sum(*again), before);
}

TEST(Reading, DoesAsWellWhereAFileCannotBeMapped) {
  const ScratchDir scratch;
  const fs::path path = scratch / "a.safetensors";
  const Checkpoint written = resnet50();
  ASSERT_TRUE(write_safetensors(path, written));
  Result<InputFile> file = InputFile::open(path, FileAccess::kRead);
  ASSERT_TRUE(file.ok());
  const Result<Checkpoint> read = read_safetensors(*file);
  ASSERT_TRUE(read.ok()) << read.error().message;
  expect_same_bytes(written, *read);
}

INSTANTIATE_TEST_SUITE_P(Formats, Mapping,
                         ::testing::Values(CheckpointFormat::kSafetensors,
                                           CheckpointFormat::kPyTorchZip),
                         [](const auto& format) {
                           return format.param == CheckpointFormat::kPyTorchZip ? "PyTorchZip"
                                                                                : "Safetensors";
                         });

}  // namespace
}  // namespace caldera::test
