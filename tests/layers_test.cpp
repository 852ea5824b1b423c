// The walls of the house: runtime <- graph <- models <- tools, and no include upward. What graphs
// are and what passes do to them knows nothing of Vulkan; tools know the public headers alone.
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> sources(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(CALDERA_SOURCE_DIR) / folder)) {
    const std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cpp") files.push_back(entry.path());
  }
  return files;
}

void expect_no_include(const std::vector<fs::path>& files, const std::string& pattern) {
  ASSERT_FALSE(files.empty());
  const std::regex forbidden("#include [\"<](" + pattern + ")");
  for (const fs::path& path : files) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      EXPECT_FALSE(std::regex_search(line, forbidden)) << path << ": " << line;
    }
  }
}

TEST(Layers, RuntimeKnowsNoTensorsOrNetworks) {
  expect_no_include(sources("runtime"),
                    "graph/|models/|tools/|caldera/(tensor|graph|session|model|architecture)");
}

TEST(Layers, GraphKnowsNoFilesOrModels) {
  expect_no_include(
      sources("graph"),
      "models/|tools/|filesystem|fstream|caldera/(checkpoint|model|architecture|image)");
}

TEST(Layers, ModelsKnowNoCommandLines) {
  expect_no_include(sources("models"), "tools/|CLI/|graph/|runtime/|volk|vulkan");
}

TEST(Layers, ToolsKnowThePublicHeadersAlone) {
  // But for Vulkan's own types, by which `doctor` looks at a loader that the library cannot use.
  expect_no_include(sources("tools"), "runtime/|graph/|models/|shaders/|volk");
}

TEST(Layers, PublicHeadersNeedNothingPrivate) {
  expect_no_include(sources("include"),
                    "runtime/|graph/|models/|tools/|fmt/|nlohmann/|volk|vulkan");
}

TEST(Layers, PassesAndPlansKnowNoVulkan) {
  std::vector<fs::path> files = sources("graph/passes");
  for (const char* file : {"graph/graph.cpp", "graph/builder.cpp", "graph/validate.cpp",
                           "graph/memory_planner.cpp", "graph/plan.cpp", "graph/plan.h"}) {
    files.push_back(fs::path(CALDERA_SOURCE_DIR) / file);
  }
  expect_no_include(files, "volk|vulkan|runtime/(vulkan|device|recorder|buffer|pipeline)");
}

// A dispatch may be cut into parts, so where a workgroup stands is for common/grid.glsl to say.
TEST(Layers, ShadersAskTheGridWhereTheyAre) {
  const fs::path shaders = fs::path(CALDERA_SOURCE_DIR) / "shaders";
  const std::regex forbidden(
      "gl_WorkGroupID|gl_NumWorkGroups|gl_GlobalInvocationID|push_constant\\)");
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(shaders)) {
    const std::string extension = entry.path().extension();
    if (extension != ".glsl" && extension != ".comp") continue;
    if (entry.path() == shaders / "common" / "grid.glsl") continue;
    ++files;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      EXPECT_FALSE(std::regex_search(line, forbidden)) << entry.path() << ": " << line;
    }
  }
  EXPECT_GT(files, 50);
}

}  // namespace
