// What PyTorch and NumPy themselves wrote (make_checkpoints.py), name by name and bit by bit; and
// what is written back from it, for the script to load again.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caldera/checkpoint.h"
#include "caldera/npy.h"

#include "models/checkpoint/zip_writer.h"
#include "tests/models/checkpoint/builders.h"
#include "tests/support/paths.h"
#include "tests/support/require.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

const fs::path kMade = CALDERA_MADE_CHECKPOINTS;

struct Expected {
  std::string wrapper, prefix;
  std::vector<std::string> tensors;  // "name dtype extents crc", parted by tabs.
};

Expected read_expected(const fs::path& path) {
  std::ifstream file(path);
  Expected expected;
  std::string line;
  std::getline(file, line);
  expected.wrapper = line.substr(0, line.find('\t'));
  expected.prefix = line.substr(line.find('\t') + 1);
  while (std::getline(file, line)) expected.tensors.push_back(line);
  return expected;
}

std::string describe(const std::string& name, const Tensor& tensor) {
  std::ostringstream text;
  text << name << '\t' << dtype_name(tensor.dtype()) << '\t';
  for (size_t i = 0; i < tensor.shape().size(); ++i) text << (i ? "," : "") << tensor.shape()[i];
  text << '\t' << std::hex;
  text.width(8);
  text.fill('0');
  text << crc32(tensor.bytes());
  return text.str();
}

std::vector<std::string> describe(const Checkpoint& checkpoint) {
  std::vector<std::string> lines;
  for (const auto& [name, tensor] : checkpoint.tensors) lines.push_back(describe(name, tensor));
  return lines;
}

std::vector<fs::path> made(const std::string& extension, const std::string& beside) {
  std::vector<fs::path> paths;
  if (!fs::is_directory(kMade)) return paths;
  for (const auto& entry : fs::directory_iterator(kMade)) {
    if (entry.path().extension() != extension) continue;
    if (fs::exists(fs::path(entry.path()).replace_extension(beside))) paths.push_back(entry.path());
  }
  return paths;
}

#define REQUIRE_MADE() \
  if (!fs::is_directory(kMade)) CALDERA_SKIP_UNLESS_REQUIRED("no Python with torch was found")

TEST(MadeCheckpoints, AreReadBitForBit) {
  REQUIRE_MADE()
  const auto paths = made(".pth", ".expected");
  ASSERT_GE(paths.size(), 40u);
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path.filename());
    const auto checkpoint = read_checkpoint(path);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    const Expected expected = read_expected(fs::path(path).replace_extension(".expected"));
    EXPECT_EQ(checkpoint->wrapper, expected.wrapper);
    EXPECT_EQ(checkpoint->prefix, expected.prefix);
    EXPECT_EQ(describe(*checkpoint), expected.tensors);
    const bool legacy = path.stem().string().ends_with("-legacy");
    EXPECT_EQ(checkpoint->format,
              legacy ? CheckpointFormat::kPyTorchLegacy : CheckpointFormat::kPyTorchZip);
  }
}

TEST(MadeCheckpoints, GoThroughSafetensorsAndBackBitForBit) {
  REQUIRE_MADE()
  const ScratchDir scratch;
  fs::create_directories(kMade / "back");
  for (const fs::path& path : made(".pth", ".expected")) {
    SCOPED_TRACE(path.filename());
    const auto original = read_checkpoint(path);
    ASSERT_TRUE(original.ok());
    ASSERT_TRUE(write_safetensors(scratch / "x.safetensors", *original).ok());
    const auto between = read_checkpoint(scratch / "x.safetensors");
    ASSERT_TRUE(between.ok()) << between.error().message;
    EXPECT_EQ(between->format, CheckpointFormat::kSafetensors);
    EXPECT_EQ(describe(*between), describe(*original));
    // The script checks these against PyTorch.
    const fs::path back = kMade / "back" / path.filename();
    ASSERT_TRUE(write_pytorch(back, *between).ok());
    const auto again = read_checkpoint(back);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(describe(*again), describe(*original));
  }
}

TEST(MadeCheckpoints, ShareWhatTheFileShares) {
  REQUIRE_MADE()
  for (int length = 1; length <= 8; ++length) {
    for (const std::string ending : {".pth", "-legacy.pth"}) {
      const auto checkpoint = read_checkpoint(kMade / ("views" + std::to_string(length) + ending));
      ASSERT_TRUE(checkpoint.ok());
      EXPECT_EQ(checkpoint->find("parameter")->bytes().data(),
                checkpoint->find("tied")->bytes().data());
      EXPECT_EQ(checkpoint->find("part")->bytes().data(),
                checkpoint->find("whole")->bytes().subspan(7 * 4).data());
    }
  }
}

TEST(MadeCheckpoints, AreAlignedForTheirElements) {
  REQUIRE_MADE()
  const ScratchDir scratch;
  for (const std::string name : {"dtypes.pth", "dtypes-legacy.pth", "zip64.pth"}) {
    const auto checkpoint = read_checkpoint(kMade / name);
    ASSERT_TRUE(checkpoint.ok());
    ASSERT_TRUE(write_safetensors(scratch / "x.safetensors", *checkpoint).ok());
    const auto rewritten = read_checkpoint(scratch / "x.safetensors");
    ASSERT_TRUE(rewritten.ok());
    for (const Checkpoint& read : {*checkpoint, *rewritten}) {
      for (const auto& [tensor_name, tensor] : read.tensors) {
        EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes().data()) % dtype_size(tensor.dtype()),
                  0u)
            << tensor_name;
      }
    }
  }
}

TEST(MadeCheckpoints, ThatAreNoStateDictAreRefusedByALine) {
  REQUIRE_MADE()
  const auto paths = made(".pth", ".refused");
  ASSERT_GE(paths.size(), 10u);
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path.filename());
    const auto checkpoint = read_checkpoint(path);
    ASSERT_FALSE(checkpoint.ok());
    EXPECT_EQ(checkpoint.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(checkpoint.error().message,
                testing::HasSubstr(read_file(fs::path(path).replace_extension(".refused"))));
    EXPECT_THAT(checkpoint.error().message, testing::StartsWith(path.string() + ": "));
  }
}

TEST(MadeArrays, AreReadAndWrittenBitForBit) {
  REQUIRE_MADE()
  fs::create_directories(kMade / "back");
  const auto paths = made(".npy", ".expected");
  ASSERT_GE(paths.size(), 12u);
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path.filename());
    const auto array = read_npy(path);
    ASSERT_TRUE(array.ok()) << array.error().message;
    const Expected expected = read_expected(fs::path(path).replace_extension(".expected"));
    EXPECT_EQ(describe("array", *array), expected.tensors.at(0));
    ASSERT_TRUE(write_npy(kMade / "back" / path.filename(), *array).ok());
    const auto again = read_npy(kMade / "back" / path.filename());
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(describe("array", *again), expected.tensors.at(0));
  }
}

struct RealCheckpoint {
  std::string file;
  size_t tensors;
  double sum;  // PyTorch's, of all elements in double precision.
};

TEST(RealCheckpoints, HaveTheSumsThatPyTorchFinds) {
  CALDERA_REQUIRE_DATA(data);
  for (const auto& [file, tensors, sum] :
       {RealCheckpoint{"resnet20-12fca82f.th", 97, 139.782649560},
        RealCheckpoint{"resnet44-014dd654.th", 217, 1107.791479493},
        RealCheckpoint{"resnet56-4bfd9763.th", 277, 1427.879011697}}) {
    SCOPED_TRACE(file);
    const auto checkpoint = read_checkpoint(data / "checkpoints" / file);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->format, CheckpointFormat::kPyTorchLegacy);
    EXPECT_EQ(checkpoint->wrapper, "state_dict");
    EXPECT_EQ(checkpoint->prefix, "module.");
    EXPECT_EQ(checkpoint->tensors.size(), tensors);
    ASSERT_NE(checkpoint->find("conv1.weight"), nullptr);
    EXPECT_EQ(checkpoint->find("conv1.weight")->shape(), (Shape{16, 3, 3, 3}));
    double found = 0;
    for (const auto& [name, tensor] : checkpoint->tensors) {
      const Tensor values = tensor.to_f32();
      for (const float value : values.floats()) found += value;
    }
    EXPECT_NEAR(found, sum, 1e-6);
  }
}

TEST(RealArrays, HaveTheirShapes) {
  CALDERA_REQUIRE_DATA(data);
  const auto pixels = read_npy(data / "cifar10" / "reference_pixels.npy");
  ASSERT_TRUE(pixels.ok()) << pixels.error().message;
  EXPECT_EQ(pixels->dtype(), DType::kU8);
  EXPECT_EQ(pixels->shape(), (Shape{256, 32, 32, 3}));
}

}  // namespace
}  // namespace caldera::test
