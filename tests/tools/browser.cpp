#include "tests/tools/browser.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include <gmock/gmock.h>

#include "tests/support/paths.h"
#include "tests/support/require.h"

namespace caldera::test {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

constexpr const char* kChromium = "/usr/bin/chromium";

void open(const std::string& path, OpenedPage& page) {
  if (!std::filesystem::exists(kChromium))
    CALDERA_SKIP_UNLESS_REQUIRED("no " + std::string(kChromium))
  const ScratchDir scratch;
  const std::string dom = scratch / "dom";
  const std::string log = scratch / "log";
  // Console messages go to the log; a profile of its own, and no network to be had.
  const std::string command =
      "timeout 120 " + std::string(kChromium) +
      " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --enable-logging=stderr"
      " --host-resolver-rules='MAP * ~NOTFOUND' --user-data-dir=" +
      (scratch / "browser").string() + " --dump-dom file://" + path + " > " + dom + " 2> " + log;
  ASSERT_EQ(std::system(command.c_str()), 0) << file_text(log);
  page = {file_text(dom), file_text(log)};
}

}  // namespace

OpenedPage open_page(const std::string& path) {
  OpenedPage page;
  open(path, page);
  return page;
}

int chart_points(const OpenedPage& page, const std::string& id) {
  const std::regex canvas("<canvas[^>]*id=\"" + id + "\"[^>]*data-points=\"([0-9]+)\"");
  std::smatch found;
  return std::regex_search(page.dom, found, canvas) ? std::stoi(found[1]) : -1;
}

void expect_loads_nothing(const std::string& html) {
  ASSERT_THAT(html, HasSubstr("</html>"));
  static const std::regex kLoads(R"((src|href|url|import|fetch)\s*[=(]\s*["']?\s*(https?:|//))");
  EXPECT_FALSE(std::regex_search(html, kLoads));
  EXPECT_THAT(html, Not(AnyOf(HasSubstr("<link"), HasSubstr("<img"), HasSubstr("sourceMappingURL"),
                              HasSubstr("{{"))));
  EXPECT_THAT(html, AllOf(HasSubstr("The MIT License"), HasSubstr("Chart.js Contributors")));
}

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace caldera::test
