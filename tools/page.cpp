// Pages of charts; see page.h.
#include "tools/page.h"

#include <cassert>
#include <fstream>

#include <fmt/format.h>

#include "embedded/chart_js.h"
#include "embedded/chart_license.h"
#include "embedded/page_css.h"
#include "embedded/page_html.h"
#include "embedded/page_js.h"
#include "tools/command.h"
#include "tools/embedded_text.h"

namespace caldera::tool {

namespace {

// Replaces "{{name}}" in `page`, which has it once.
void put(std::string& page, const std::string& name, std::string_view text) {
  const std::string mark = "{{" + name + "}}";
  const size_t at = page.find(mark);
  assert(at != std::string::npos);
  page.replace(at, mark.size(), text);
}

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    if (c == '<') {
      html += "&lt;";
    } else if (c == '&') {
      html += "&amp;";
    } else {
      html += c;
    }
  }
  return html;
}

// JSON within a script element: a "</script>" in a string must not end it.
std::string script_json(const Json& data) {
  std::string text;
  for (const char c : data.dump()) {
    text += c == '<' ? "\\u003c" : std::string(1, c);
  }
  return text;
}

// Without its last line, which names a file for debuggers that is not beside the page.
std::string_view chart_library() {
  const std::string_view library = embedded_text(chart_js_bytes);
  return library.substr(0, library.rfind("//# sourceMappingURL"));
}

}  // namespace

Status check_pages() {
  if (!chart_library().empty()) return {};
  return Error{ErrorCode::kUnsupported,
               "--report needs a chart library, and this program was built without one: run "
               "tools/setup.sh and build again"};
}

std::string make_page(const Page& page) {
  std::string html(embedded_text(page_html_bytes));
  // The last first, so that no text put in is searched for marks.
  put(html, "script", page.script);
  put(html, "helpers", embedded_text(page_js_bytes));
  put(html, "library", chart_library());
  put(html, "licence", embedded_text(chart_license_bytes));
  put(html, "data", script_json(page.data));
  put(html, "body", page.body);
  put(html, "style", embedded_text(page_css_bytes));
  put(html, "title", escaped(page.title));
  return html;
}

Status write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return {};
  return Error{ErrorCode::kIo,
               fmt::format("{}: cannot be written; is its folder there, and room on the disk?",
                           path.string())};
}

Status write_text_whole(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::path beside = path;
  beside += ".new";
  Status written = write_text(beside, text);
  std::error_code error;
  if (written.ok()) std::filesystem::rename(beside, path, error);
  if (error) {
    written = Error{ErrorCode::kIo,
                    fmt::format("{}: cannot be written: {}", path.string(), error.message())};
  }
  if (!written.ok()) std::filesystem::remove(beside, error);
  return written;
}

}  // namespace caldera::tool
