// Bytes, as the formats' documents have them. Independent of the library's own writers, but for the
// CRC-32, which a test holds against zlib's.
#include "tests/models/checkpoint/builders.h"

#include <fstream>
#include <sstream>

#include "models/checkpoint/zip_writer.h"

namespace caldera::test {

std::string bytes_of(uint64_t value, int width) {
  std::string text;
  for (int i = 0; i < width; ++i) text += i < 8 ? static_cast<char>(value >> (8 * i)) : char{0};
  return text;
}

Pickle& Pickle::global(std::string_view module, std::string_view name) {
  text_ += 'c';
  text_ += module;
  text_ += '\n';
  text_ += name;
  text_ += '\n';
  return *this;
}

Pickle& Pickle::string(std::string_view value) {
  text_ += 'X';
  text_ += bytes_of(value.size(), 4);
  text_ += value;
  return *this;
}

Pickle& Pickle::integer(int64_t value) {
  text_ += "\x8a\x08";
  text_ += bytes_of(static_cast<uint64_t>(value), 8);
  return *this;
}

Pickle& Pickle::tuple(const std::vector<int64_t>& values) {
  text_ += '(';
  for (const int64_t value : values) integer(value);
  text_ += 't';
  return *this;
}

Pickle& Pickle::storage(std::string_view type, std::string_view key, int64_t count) {
  op("(").string("storage").global("torch", type).string(key).string("cpu").integer(count);
  return op("tQ");
}

Pickle& Pickle::tensor(std::string_view type, std::string_view key,
                       const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                       int64_t offset, int64_t count) {
  global("torch._utils", "_rebuild_tensor_v2").op("(").storage(type, key, count).integer(offset);
  tuple(sizes).tuple(strides).op("\x89").global("collections", "OrderedDict");
  return op(")RtR");
}

std::string zip_file(const std::vector<ZipRecord>& records) {
  std::string file, directory;
  for (const ZipRecord& record : records) {
    const uint32_t crc = crc32(std::as_bytes(std::span(record.data)));
    const uint64_t size =
        record.declared_size < 0 ? record.data.size() : static_cast<uint64_t>(record.declared_size);
    std::string common = bytes_of(0, 2) + bytes_of(record.method, 2) + bytes_of(0, 4);
    common += bytes_of(crc, 4) + bytes_of(record.data.size(), 4) + bytes_of(size, 4);
    common += bytes_of(record.name.size(), 2) + bytes_of(0, 2);
    directory += "PK\1\2" + bytes_of(20, 2) + bytes_of(20, 2) + common;
    directory += bytes_of(0, 10) + bytes_of(file.size(), 4) + record.name;
    file += "PK\3\4" + bytes_of(20, 2) + common + record.name + record.data;
  }
  std::string end = "PK\5\6" + bytes_of(0, 4) + bytes_of(records.size(), 2);
  end += bytes_of(records.size(), 2) + bytes_of(directory.size(), 4) + bytes_of(file.size(), 4);
  return file + directory + end + bytes_of(0, 2);
}

std::string torch_zip(const std::string& pickle,
                      const std::vector<std::pair<std::string, std::string>>& storages,
                      const std::vector<ZipRecord>& others) {
  std::vector<ZipRecord> records{{"root/data.pkl", pickle}};
  for (const auto& [key, data] : storages) records.push_back({"root/data/" + key, data});
  records.push_back({"root/version", "3\n"});
  records.insert(records.end(), others.begin(), others.end());
  return zip_file(records);
}

std::string torch_legacy(const std::string& pickle, const std::vector<LegacyStorage>& storages,
                         bool little_endian) {
  const std::string magic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  std::string file = Pickle().op(magic).done() + Pickle().integer(1001).done();
  file +=
      Pickle().op("}").string("little_endian").op(little_endian ? "\x88" : "\x89").op("s").done();
  file += pickle;
  Pickle keys;
  keys.op("](");
  for (const LegacyStorage& storage : storages) keys.string(storage.key);
  file += keys.op("e").done();
  for (const LegacyStorage& storage : storages) {
    file += bytes_of(static_cast<uint64_t>(storage.count), 8) + storage.data;
  }
  return file;
}

std::string safetensors(std::string_view header, std::string_view data) {
  return bytes_of(header.size(), 8) + std::string(header) + std::string(data);
}

namespace {

std::string small_floats() {
  std::string data;
  for (const uint32_t value :
       {0x3f800000u, 0x40000000u, 0x40400000u, 0x40800000u, 0x40a00000u, 0x40c00000u}) {
    data += bytes_of(value, 4);
  }
  return data;
}

std::string small_pickle() {
  return Pickle()
      .op("}(")
      .string("a")
      .tensor("FloatStorage", "0", {2, 3}, {3, 1}, 0, 6)
      .string("b")
      .tensor("LongStorage", "1", {}, {}, 0, 1)
      .op("u")
      .done();
}

}  // namespace

std::string small_torch_zip() {
  return torch_zip(small_pickle(), {{"0", small_floats()}, {"1", bytes_of(7, 8)}});
}

std::string small_torch_legacy() {
  return torch_legacy(small_pickle(), {{"0", 6, small_floats()}, {"1", 1, bytes_of(7, 8)}});
}

std::string small_safetensors() {
  return safetensors(R"({"__metadata__":{"k":"v"},"b":{"dtype":"I64","shape":[],)"
                     R"("data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2,3],)"
                     R"("data_offsets":[8,32]}})",
                     bytes_of(7, 8) + small_floats());
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  // Anew, not truncated: some file systems flush what is written after a truncation.
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Result<Checkpoint> read_bytes(const std::filesystem::path& folder, std::string_view bytes) {
  const auto path = folder / "x.pth";
  write_file(path, bytes);
  return read_checkpoint(path);
}

std::string flaw_of(const Error& error) {
  if (error.code != ErrorCode::kInvalidInput) return "not of bad input: " + error.message;
  if (error.message.find("x.pth: ") == std::string::npos) return "names no file: " + error.message;
  for (const char c : error.message) {
    if (static_cast<unsigned char>(c) < 0x20) return "not one line: " + error.message;
  }
  if (error.message.size() > 1000) return "too long: " + error.message;
  return "";
}

}  // namespace caldera::test
