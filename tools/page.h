// Makes a page of charts: one HTML file with its style, data, script and chart library inside, so
// that it opens with no network, anywhere, years from now. What it shows is its maker's affair:
// data as JSON, and a body and a script (tools/pages/) that show it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "caldera/result.h"

#include "tools/report.h"

namespace caldera::tool {

struct Page {
  std::string title;
  std::string_view body;    // HTML.
  std::string_view script;  // JavaScript; finds `data`, and the helpers of page.js.
  Json data;
};

// An error in a build without the chart library. To be asked before any work is done for a page.
Status check_pages();

// check_pages() is to be ok.
std::string make_page(const Page& page);

Status write_text(const std::filesystem::path& path, std::string_view text);
// The same for a file that is written again and again: whole, or left as it was.
Status write_text_whole(const std::filesystem::path& path, std::string_view text);

}  // namespace caldera::tool
