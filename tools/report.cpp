// Tables, units, JSON and errors; see report.h.
#include "tools/report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>

#include "tools/command.h"

namespace caldera::tool {

namespace {

// Columns that a terminal gives `text`: its UTF-8 code points.
size_t display_width(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

std::string row_text(const std::vector<Table::Column>& columns, const std::vector<size_t>& widths,
                     const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string cell = i < cells.size() ? cells[i] : "";
    const std::string space(widths[i] - std::min(widths[i], display_width(cell)), ' ');
    if (i > 0) line += "  ";
    line += columns[i].align == Table::Align::kRight ? space + cell : cell + space;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

void print_note(std::string_view message) {
  std::string line(message);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  fmt::print(stderr, "caldera: {}\n", line);
}

int exit_code(ErrorCode code) {
  return code == ErrorCode::kInvalidInput || code == ErrorCode::kUnsupported ? kExitBadInput
                                                                             : kExitFailed;
}

int print_error(const Error& error) {
  print_note(error.message);
  return exit_code(error.code);
}

void print_json(const Json& object) {
  fmt::print("{}\n", object.dump());
}

void Table::print() const {
  std::vector<size_t> widths;
  bool titled = false;
  for (const Column& column : columns_) {
    widths.push_back(display_width(column.title));
    titled |= !column.title.empty();
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < std::min(row.size(), widths.size()); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  if (titled) {
    std::vector<std::string> titles;
    for (const Column& column : columns_) titles.push_back(column.title);
    fmt::print("{}\n", row_text(columns_, widths, titles));
  }
  for (const auto& row : rows_) fmt::print("{}\n", row_text(columns_, widths, row));
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  static constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; amount >= 1023.95 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  return fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string human_count(double count) {
  static constexpr std::array kUnits{"", " k", " M", " G", " T"};
  size_t unit = 0;
  for (; count >= 999.5 && unit + 1 < kUnits.size(); ++unit) count /= 1000;
  if (unit == 0) return fmt::format("{:.0f}", count);
  return fmt::format("{:.{}f}{}", count, count < 9.995 ? 2 : count < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string grouped(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const size_t sign = count < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > sign + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

std::string human_seconds(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.0f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.{}f} ms", seconds * 1e3, seconds < 0.1 ? 2 : 0);
  return fmt::format("{:.2f} s", seconds);
}

std::string human_clock(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 359999.0)));
  if (total >= 3600) {
    return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
  }
  return fmt::format("{}:{:02}", total / 60, total % 60);
}

}  // namespace caldera::tool
