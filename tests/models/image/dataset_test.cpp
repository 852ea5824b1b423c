// Class folders: torchvision's order, and the folders that are refused.
#include "caldera/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/models/image/reference.h"
#include "tests/support/paths.h"

namespace caldera {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void touch(const fs::path& path) {
  fs::create_directories(path.parent_path());
  test::write_bytes(path, {1});
}

std::vector<std::string> relative(const ImageFolder& found, const fs::path& root) {
  std::vector<std::string> names;
  for (const Sample& sample : found.samples) {
    names.push_back(sample.path.lexically_relative(root).string() + " " +
                    std::to_string(sample.label));
  }
  return names;
}

TEST(ScanImageFolder, SortsClassesThenFoldersThenFiles) {
  const test::ScratchDir scratch;
  for (const char* name :
       {"dog/b.jpg", "dog/a.PNG", "cat/z.jpeg", "cat/sub/a.bmp", "cat/sub-2/a.jpg", "cat/10.jpg",
        "cat/9.jpg", "Zebra/one.JPG", "cat/notes.txt", "cat/jpg", "dog/.jpg", "top.jpg"}) {
    touch(scratch / name);
  }
  const auto found = scan_image_folder(scratch.path());
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_THAT(found->classes, ElementsAre("Zebra", "cat", "dog"));
  EXPECT_THAT(relative(*found, scratch.path()),
              ElementsAre("Zebra/one.JPG 0", "cat/10.jpg 1", "cat/9.jpg 1", "cat/z.jpeg 1",
                          "cat/sub/a.bmp 1", "cat/sub-2/a.jpg 1", "dog/.jpg 2", "dog/a.PNG 2",
                          "dog/b.jpg 2"));
}

TEST(ScanImageFolder, AgreesWithTorchvision) {
  CALDERA_REQUIRE_PYTHON()
  const test::ScratchDir scratch;
  const fs::path root = scratch / "set";
  for (const char* name : {"b/x.jpg", "b/x-1.jpg", "b/x/1.jpg", "b/x-1/1.png", "b/x/y/1.bmp",
                           "b/X.jpg", "a b/1.jpg", "a/2.jpg", "a/10.jpg", "a/\xc3\xa9.jpg",
                           "a/z.jpg", "\xc3\xa9/1.jpg", "z/1.jpg", ".h/1.jpg", "a/.hidden.jpg"}) {
    touch(root / name);
  }
  fs::create_directory_symlink(root / "z", root / "link");
  ASSERT_TRUE(test::run_script("list_image_folder.py", {root, scratch / "list"}));
  const auto found = scan_image_folder(root);
  ASSERT_TRUE(found.ok()) << found.error().message;
  std::string listing;
  for (const Sample& sample : found->samples) {
    listing += sample.path.string() + " " + std::to_string(sample.label) + "\n";
  }
  const std::vector<uint8_t> wanted = test::read_bytes(scratch / "list");
  EXPECT_EQ(listing, std::string(wanted.begin(), wanted.end()));
}

TEST(ScanImageFolder, RefusesAnEmptyClassByItsName) {
  const test::ScratchDir scratch;
  touch(scratch / "cat/a.jpg");
  touch(scratch / "dog/readme.txt");
  const auto found = scan_image_folder(scratch.path());
  ASSERT_FALSE(found.ok());
  EXPECT_THAT(found.error().message, HasSubstr("dog: no image in this class"));
}

TEST(ScanImageFolder, RefusesAFolderWithoutClasses) {
  const test::ScratchDir scratch;
  touch(scratch / "a.jpg");
  const auto found = scan_image_folder(scratch.path());
  ASSERT_FALSE(found.ok());
  EXPECT_THAT(found.error().message, HasSubstr("no class folder"));
}

TEST(ScanImageFolder, RefusesWhatIsNotAFolder) {
  const test::ScratchDir scratch;
  touch(scratch / "file");
  for (const fs::path& path : {scratch / "missing", scratch / "file"}) {
    const auto found = scan_image_folder(path);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(found.error().message, HasSubstr(path.string()));
  }
}

TEST(ScanImageFolder, RefusesALoopOfLinks) {
  const test::ScratchDir scratch;
  touch(scratch / "cat/a.jpg");
  fs::create_directory_symlink(scratch.path(), scratch / "cat/up");
  EXPECT_FALSE(scan_image_folder(scratch.path()).ok());
}

}  // namespace
}  // namespace caldera
