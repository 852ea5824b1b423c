// Reads and writes safetensors. Its rules are checked as the reference does: the tensors' ranges
// cover the data from its first byte to its last, with no gap and no overlap.
#include "models/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "models/checkpoint/atomic_file.h"
#include "models/checkpoint/boundary.h"
#include "models/checkpoint/byte_count.h"
#include "models/checkpoint/safetensors_header.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // The reference's own limit.
constexpr size_t kAlignment = 64;             // Of the data in files that we write.

struct DTypeName {
  std::string_view name;
  DType dtype;
};
constexpr DTypeName kDTypes[] = {
    {"F64", DType::kF64}, {"F32", DType::kF32},   {"F16", DType::kF16}, {"BF16", DType::kBF16},
    {"I64", DType::kI64}, {"I32", DType::kI32},   {"I16", DType::kI16}, {"I8", DType::kI8},
    {"U8", DType::kU8},   {"BOOL", DType::kBool},
};

std::optional<uint64_t> read_length(InputFile& file) {
  std::array<std::byte, 8> bytes;
  if (!file.read(0, bytes)) return std::nullopt;
  uint64_t length = 0;
  for (size_t i = bytes.size(); i-- > 0;) length = length << 8 | static_cast<uint64_t>(bytes[i]);
  return length;
}

// That the entries' ranges cover `size` bytes exactly.
Status check_coverage(const InputFile& file, const std::vector<SafetensorsEntry>& entries,
                      uint64_t size) {
  std::vector<const SafetensorsEntry*> by_offset;
  for (const SafetensorsEntry& entry : entries) by_offset.push_back(&entry);
  std::ranges::sort(by_offset, [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t at = 0;
  for (const SafetensorsEntry* entry : by_offset) {
    if (entry->begin != at || entry->end < entry->begin) {
      return file.error("tensor " + in_quotes(entry->name) +
                        (entry->begin < at ? " overlaps another" : " follows a gap in the data"));
    }
    at = entry->end;
    if (at > size) {
      return file.error("tensor " + in_quotes(entry->name) +
                        " ends behind the file's end; it is cut short");
    }
  }
  if (at != size) return file.error("has data that belongs to no tensor");
  return {};
}

Result<Tensor> make_tensor(const InputFile& file, const SafetensorsEntry& entry,
                           const SharedBytes& data) {
  const auto* row = std::ranges::find(kDTypes, std::string_view(entry.dtype), &DTypeName::name);
  if (row == std::end(kDTypes)) {
    return file.error("tensor " + in_quotes(entry.name) + " has elements of " +
                      in_quotes(entry.dtype) + ", which Caldera does not read");
  }
  const auto size = byte_count(entry.shape, dtype_size(row->dtype));
  if (!size || *size != entry.end - entry.begin) {
    return file.error("tensor " + in_quotes(entry.name) +
                      " has a shape that does not fit its data");
  }
  const auto view = data.bytes.subspan(entry.begin, *size);
  if (reinterpret_cast<uintptr_t>(view.data()) % dtype_size(row->dtype) == 0) {
    return Tensor(row->dtype, entry.shape, view, data.owner);
  }
  return Tensor::from_bytes(row->dtype, entry.shape, {view.begin(), view.end()});
}

std::string_view dtype_label(DType dtype) {
  return std::ranges::find(kDTypes, dtype, &DTypeName::dtype)->name;
}

Status write_file(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  const auto& tensors = checkpoint.tensors;
  CALDERA_TRY(check_names(path, tensors));
  // Wide elements first, so that each tensor is aligned though none may be padded; the header keeps
  // the tensors' own order.
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(),
                           [&](size_t i) { return dtype_size(tensors[i].tensor.dtype()); });
  std::vector<uint64_t> begins(tensors.size());
  uint64_t offset = 0;
  for (const size_t i : order) {
    begins[i] = offset;
    offset += tensors[i].tensor.bytes().size();
  }

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!checkpoint.metadata.empty()) {
    for (const auto& [key, value] : checkpoint.metadata) {
      if (!is_utf8(key) || !is_utf8(value)) {
        return Error{ErrorCode::kInvalidInput,
                     path.string() + ": metadata " + in_quotes(key) + " is not UTF-8"};
      }
    }
    header["__metadata__"] = checkpoint.metadata;
  }
  std::string text = header.dump();
  text.pop_back();  // The entries follow, one by one: ordered_json looks each key up in a line.
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i].tensor;
    nlohmann::ordered_json entry;
    entry["dtype"] = dtype_label(tensor.dtype());
    entry["shape"] = tensor.shape();
    entry["data_offsets"] = {begins[i], begins[i] + tensor.bytes().size()};
    if (text.size() > 1) text += ',';
    text += nlohmann::json(tensors[i].name).dump() + ":" + entry.dump();
  }
  text += '}';
  text.append((kAlignment - (text.size() + 8) % kAlignment) % kAlignment, ' ');
  if (text.size() > kMaxHeader) {
    return Error{ErrorCode::kInvalidInput,
                 path.string() + ": has names and metadata beyond what a safetensors header holds"};
  }

  CALDERA_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(text.size() >> (8 * i));
  CALDERA_TRY(file.write(length));
  CALDERA_TRY(file.write(text));
  for (const size_t i : order) CALDERA_TRY(file.write(tensors[i].tensor.bytes()));
  return file.commit();
}

}  // namespace

bool looks_like_safetensors(InputFile& file) {
  const auto length = read_length(file);
  std::array<std::byte, 1> first;
  return length && *length >= 2 && *length <= kMaxHeader && file.read(8, first) &&
         static_cast<char>(first[0]) == '{';
}

Result<Checkpoint> read_safetensors(InputFile& file) {
  const auto length = read_length(file);
  if (!length || *length > kMaxHeader) return file.error("is no safetensors file");
  if (*length > file.size() - 8) return file.error("is cut short in its header");
  CALDERA_TRY_ASSIGN(const NewBytes json, file.read_block(8, *length));
  auto header = parse_safetensors_header(
      {reinterpret_cast<const char*>(json.bytes.data()), json.bytes.size()});
  if (!header.ok()) return file.error(header.error().message);

  const uint64_t start = 8 + *length;
  CALDERA_TRY(check_coverage(file, header->entries, file.size() - start));
  CALDERA_TRY_ASSIGN(const SharedBytes data, file.view(start, file.size() - start));
  Checkpoint checkpoint;
  checkpoint.format = CheckpointFormat::kSafetensors;
  checkpoint.metadata = std::move(header->metadata);
  for (const SafetensorsEntry& entry : header->entries) {
    CALDERA_TRY_ASSIGN(Tensor tensor, make_tensor(file, entry, data));
    checkpoint.tensors.push_back({entry.name, std::move(tensor)});
  }
  if (checkpoint.tensors.empty()) return file.error("holds no tensors");
  return checkpoint;
}

Status write_safetensors(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  return at_boundary<Status>(path, [&] { return write_file(path, checkpoint); });
}

}  // namespace caldera
