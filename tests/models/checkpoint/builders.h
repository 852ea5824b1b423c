// Checkpoint files put together by hand, byte by byte, so that tests can make what no honest writer
// does: pickles that ask for anything, zips whose records lie, headers of any length.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/checkpoint.h"

namespace caldera::test {

// Little-endian.
std::string bytes_of(uint64_t value, int width);

// A pickle by opcodes; protocol 2 unless told otherwise.
class Pickle {
 public:
  Pickle() : text_("\x80\x02") {}

  Pickle& op(std::string_view code) {
    text_ += code;
    return *this;
  }
  Pickle& global(std::string_view module, std::string_view name);
  Pickle& string(std::string_view value);
  Pickle& integer(int64_t value);
  // ('storage', torch.<type>, key, 'cpu', count) as a persistent id.
  Pickle& storage(std::string_view type, std::string_view key, int64_t count);
  // A tensor of a whole new storage.
  Pickle& tensor(std::string_view type, std::string_view key, const std::vector<int64_t>& sizes,
                 const std::vector<int64_t>& strides, int64_t offset, int64_t count);
  Pickle& tuple(const std::vector<int64_t>& values);
  // With STOP.
  std::string done() const { return text_ + "."; }

 private:
  std::string text_;
};

struct ZipRecord {
  std::string name;
  std::string data;
  uint16_t method = 0;         // 8: deflate.
  int64_t declared_size = -1;  // Of the data unpacked; -1: as it is.
};
// Stored records with right checksums, unless told otherwise.
std::string zip_file(const std::vector<ZipRecord>& records);
// {root}/data.pkl and {root}/data/<key> for each storage.
std::string torch_zip(const std::string& pickle,
                      const std::vector<std::pair<std::string, std::string>>& storages,
                      const std::vector<ZipRecord>& others = {});
// `keys` are strings; each storage is its count and its bytes.
struct LegacyStorage {
  std::string key;
  int64_t count;
  std::string data;
};
std::string torch_legacy(const std::string& pickle, const std::vector<LegacyStorage>& storages,
                         bool little_endian = true);
std::string safetensors(std::string_view header, std::string_view data);

// Two tensors, "a" (f32 [2, 3]) and "b" (i64, scalar), in each format.
std::string small_torch_zip();
std::string small_torch_legacy();
std::string small_safetensors();

void write_file(const std::filesystem::path& path, std::string_view bytes);
std::string read_file(const std::filesystem::path& path);

// Writes the bytes to a file of this folder and reads it as a checkpoint.
Result<Checkpoint> read_bytes(const std::filesystem::path& folder, std::string_view bytes);

// "" where the error is fit for a user: of bad input, one line, naming the file.
std::string flaw_of(const Error& error);

}  // namespace caldera::test
