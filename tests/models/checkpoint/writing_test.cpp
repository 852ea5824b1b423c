// Writers: whole files or none, the layouts that others rely on, and what cannot be written.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "caldera/checkpoint.h"

#include "models/checkpoint/atomic_file.h"
#include "models/checkpoint/zip_writer.h"
#include "tests/models/checkpoint/builders.h"
#include "tests/support/paths.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

Checkpoint sample() {
  Checkpoint checkpoint;
  checkpoint.tensors.push_back(
      {"half", Tensor::from_bytes(DType::kF16, {3}, std::vector<std::byte>(6, std::byte{7}))});
  checkpoint.tensors.push_back({"weight", Tensor::from_floats({2, 2}, {1, 2, 3, 4})});
  checkpoint.tensors.push_back(
      {"steps", Tensor::from_bytes(DType::kI64, {}, std::vector<std::byte>(8, std::byte{1}))});
  checkpoint.tensors.push_back({"empty", Tensor::from_floats({0, 4}, {})});
  checkpoint.metadata = {{"caldera", "{\"a\": \"\xc3\xa9 \\\" \"}"}, {"format", "pt"}};
  return checkpoint;
}

void expect_same(const Checkpoint& found, const Checkpoint& expected) {
  ASSERT_EQ(found.tensors.size(), expected.tensors.size());
  for (size_t i = 0; i < expected.tensors.size(); ++i) {
    EXPECT_EQ(found.tensors[i].name, expected.tensors[i].name);
    EXPECT_EQ(found.tensors[i].tensor.dtype(), expected.tensors[i].tensor.dtype());
    EXPECT_EQ(found.tensors[i].tensor.shape(), expected.tensors[i].tensor.shape());
    EXPECT_TRUE(
        std::ranges::equal(found.tensors[i].tensor.bytes(), expected.tensors[i].tensor.bytes()));
  }
}

TEST(WritingSafetensors, KeepsOrderBitsAndMetadata) {
  const ScratchDir scratch;
  ASSERT_TRUE(write_safetensors(scratch / "x.safetensors", sample()).ok());
  const auto read = read_checkpoint(scratch / "x.safetensors");
  ASSERT_TRUE(read.ok()) << read.error().message;
  expect_same(*read, sample());
  EXPECT_EQ(read->metadata, sample().metadata);
  // The data begins at a multiple of 64.
  EXPECT_EQ((read_file(scratch / "x.safetensors").size() - 6 - 16 - 8) % 64, 0u);
}

TEST(WritingPyTorch, AlignsEveryRecordTo64Bytes) {
  const ScratchDir scratch;
  ASSERT_TRUE(write_pytorch(scratch / "x.pth", sample()).ok());
  const auto read = read_checkpoint(scratch / "x.pth");
  ASSERT_TRUE(read.ok()) << read.error().message;
  expect_same(*read, sample());
  const std::string bytes = read_file(scratch / "x.pth");
  size_t records = 0;
  for (size_t at = bytes.find("PK\3\4"); at != std::string::npos;
       at = bytes.find("PK\3\4", at + 4)) {
    const auto length = [&](size_t field) {
      return static_cast<size_t>(static_cast<uint8_t>(bytes[at + field]) |
                                 static_cast<uint8_t>(bytes[at + field + 1]) << 8);
    };
    EXPECT_EQ((at + 30 + length(26) + length(28)) % 64, 0u);
    ++records;
  }
  EXPECT_EQ(records, sample().tensors.size() + 3);
}

TEST(Writing, IsTheSameBytesEachTime) {
  const ScratchDir scratch;
  for (const auto write : {write_safetensors, write_pytorch}) {
    ASSERT_TRUE(write(scratch / "a", sample()).ok());
    ASSERT_TRUE(write(scratch / "b", sample()).ok());
    EXPECT_EQ(read_file(scratch / "a"), read_file(scratch / "b"));
  }
}

TEST(Writing, RefusesNamesThatCannotBeWritten) {
  const ScratchDir scratch;
  for (const auto write : {write_safetensors, write_pytorch}) {
    Checkpoint checkpoint = sample();
    checkpoint.tensors[1].name = "half";
    auto status = write(scratch / "x", checkpoint);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message, HasSubstr("tensor 'half' is there twice"));
    checkpoint.tensors[1].name = "\xff";
    status = write(scratch / "x", checkpoint);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message, HasSubstr("'\\xff'"));
  }
  EXPECT_EQ(files_in(scratch.path()), 0u);
}

TEST(Writing, LeavesTheOldFileWhereItFails) {
  const ScratchDir scratch;
  write_file(scratch / "x", "old");
  {
    auto file = AtomicFile::create(scratch / "x");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write("new").ok());
    ASSERT_TRUE(file->write(std::string(1 << 20, 'y')).ok());
    EXPECT_EQ(file->position(), 3u + (1 << 20));
    EXPECT_EQ(files_in(scratch.path()), 2u);
    EXPECT_EQ(read_file(scratch / "x"), "old");
  }
  EXPECT_EQ(read_file(scratch / "x"), "old");
  EXPECT_EQ(files_in(scratch.path()), 1u);

  const auto status = write_pytorch(scratch / "absent" / "x", sample());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_THAT(status.error().message, HasSubstr("No such file"));
}

TEST(Writing, ReplacesTheOldFileWhole) {
  const ScratchDir scratch;
  write_file(scratch / "x", std::string(1000, 'o'));
  fs::permissions(scratch / "x", fs::perms(0640));
  fs::create_symlink("x", scratch / "link");
  auto file = AtomicFile::create(scratch / "link");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write("new").ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(read_file(scratch / "x"), "new");
  EXPECT_TRUE(fs::is_symlink(scratch / "link"));
  EXPECT_EQ(fs::status(scratch / "x").permissions(), fs::perms(0640));
  EXPECT_EQ(files_in(scratch.path()), 2u);
}

TEST(Writing, ReplacesNoFolderAndNoDevice) {
  const ScratchDir scratch;
  for (const fs::path& path : {scratch.path(), fs::path("/dev/null")}) {
    const auto status = write_safetensors(path, sample());
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message, HasSubstr("is not a file"));
  }
}

TEST(Writing, OfNewFilesHeedsTheUmask) {
  const ScratchDir scratch;
  const mode_t old = ::umask(027);
  const auto status = write_safetensors(scratch / "x", sample());
  ::umask(old);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(fs::status(scratch / "x").permissions(), fs::perms(0640));
}

TEST(ZipWriter, WritesZip64WhereItMust) {
  // The small limit makes of a small file what otherwise takes gigabytes.
  const ScratchDir scratch;
  ASSERT_TRUE(write_pytorch(scratch / "plain.pth", sample()).ok());
  auto file = AtomicFile::create(scratch / "x.pth");
  ASSERT_TRUE(file.ok());
  ZipWriter zip(*file, 20);
  const std::string pickle =
      Pickle().op("}").string("w").tensor("FloatStorage", "0", {8}, {1}, 0, 8).op("s").done();
  // First, since PyTorch 1.13 reads no small record with an offset in zip64 where the file is
  // small.
  ASSERT_TRUE(zip.add("archive/version", "3\n").ok());
  ASSERT_TRUE(zip.add("archive/data.pkl", pickle).ok());
  ASSERT_TRUE(zip.add("archive/data/0", std::string(32, '\0')).ok());
  ASSERT_TRUE(zip.finish().ok());
  ASSERT_TRUE(file->commit().ok());
  EXPECT_THAT(read_file(scratch / "x.pth"), HasSubstr("PK\6\6"));
  const auto read = read_checkpoint(scratch / "x.pth");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->find("w")->shape(), (Shape{8}));
  if (fs::is_directory(CALDERA_MADE_CHECKPOINTS)) {
    // For PyTorch to load, by make_checkpoints.py.
    fs::copy_file(scratch / "x.pth", fs::path(CALDERA_MADE_CHECKPOINTS) / "written-zip64.pth",
                  fs::copy_options::overwrite_existing);
  }
}

TEST(Crc32, IsThatOfTheStandard) {
  const std::string check = "123456789";
  EXPECT_EQ(crc32(std::as_bytes(std::span(check))), 0xcbf43926u);
  EXPECT_EQ(crc32({}), 0u);
}

TEST(Prefixes, AreTakenOffOnlyWhereAllNamesBearThem) {
  const ScratchDir scratch;
  const auto prefix_of = [&](const std::vector<std::string>& names) {
    Checkpoint checkpoint;
    for (const std::string& name : names)
      checkpoint.tensors.push_back({name, Tensor::from_floats({1}, {0})});
    EXPECT_TRUE(write_safetensors(scratch / "x", checkpoint).ok());
    return read_checkpoint(scratch / "x").value().prefix;
  };
  EXPECT_EQ(prefix_of({"module.a", "module.b"}), "module.");
  EXPECT_EQ(prefix_of({"module.a", "b"}), "");
  EXPECT_EQ(prefix_of({"module._orig_mod.model.a.b"}), "module._orig_mod.model.");
  EXPECT_EQ(prefix_of({"module.module.a", "module.b"}), "module.");
  EXPECT_EQ(prefix_of({"module."}), "");
  EXPECT_EQ(prefix_of({"modules.a"}), "");
}

}  // namespace
}  // namespace caldera::test
