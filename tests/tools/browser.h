// Opens a page that the program wrote as its reader does: in a browser, with no network.
#pragma once

#include <string>

namespace caldera::test {

struct OpenedPage {
  std::string dom;  // As scripts left it.
  std::string log;  // Has "CONSOLE" where a script said or failed anything.
};

// Where Chromium is not installed, `dom` is empty and the test is skipped.
OpenedPage open_page(const std::string& path);

// How many points a chart shows; -1 where there is no chart of that id.
int chart_points(const OpenedPage& page, const std::string& id);

// Fails if the page could load anything from elsewhere.
void expect_loads_nothing(const std::string& html);

std::string file_text(const std::string& path);

}  // namespace caldera::test
