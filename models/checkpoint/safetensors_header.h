// The JSON header of a safetensors file, read event by event: three levels at most, no tree, and
// nothing said twice.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

namespace caldera {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // As the file has it: "F32".
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // Bytes, from the end of the header.
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // In the header's order; offsets unchecked.
  std::map<std::string, std::string> metadata;
};

// Errors name no file.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view json);

}  // namespace caldera
