// What users see: aligned tables, quantities in human units, JSON, and one-line errors. Results go
// to standard output; everything else goes to standard error, so that a pipe holds results alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

#include "tools/json.h"

namespace caldera::tool {

// One line on standard error: "caldera: message". Line breaks within become spaces.
void print_note(std::string_view message);
// The same for an error, and its exit code: 2 for what the user can mend in the command or its
// files, 1 for the rest.
int print_error(const Error& error);
int exit_code(ErrorCode code);

// To standard output, as one line.
void print_json(const Json& object);

// Columns as wide as their widest cell, two spaces apart. Columns of numbers stand to the right.
class Table {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // With a line of titles, if any column has one.
  void print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "1.1 MiB"
std::string human_bytes(uint64_t bytes);
// "11.69 M": thousands, millions, milliards (k, M, G).
std::string human_count(double count);
// "1,234,567"
std::string grouped(int64_t count);
// "830 us", "12.4 ms", "3.21 s"
std::string human_seconds(double seconds);
// "1:02:03" or "2:03", for time left.
std::string human_clock(double seconds);

}  // namespace caldera::tool
