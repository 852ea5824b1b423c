// NumPy's .npy: a magic, a version, a header that is a Python dictionary of three known keys, and
// the bytes. Layout: numpy.lib.format, "Format Version 1.0" to "3.0".
#include "caldera/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "models/checkpoint/atomic_file.h"
#include "models/checkpoint/boundary.h"
#include "models/checkpoint/byte_count.h"
#include "models/checkpoint/byte_reader.h"
#include "models/checkpoint/input_file.h"
#include "models/checkpoint/text.h"

namespace caldera {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeader = 1 << 16;
constexpr size_t kMaxRank = 64;  // As NumPy 2 has it.
constexpr size_t kAlignment = 64;

struct Descriptor {
  std::string_view text;
  DType dtype;
};
// What is written is the first of each; NumPy has no bfloat16.
constexpr Descriptor kDescriptors[] = {
    {"<f8", DType::kF64},  {"<f4", DType::kF32}, {"<f2", DType::kF16}, {"<i8", DType::kI64},
    {"<i4", DType::kI32},  {"<i2", DType::kI16}, {"|i1", DType::kI8},  {"|u1", DType::kU8},
    {"|b1", DType::kBool}, {"<i1", DType::kI8},  {"<u1", DType::kU8},  {"<b1", DType::kBool},
};

struct Header {
  std::string descriptor;
  bool fortran_order = false;
  Shape shape;
};

// The header's dictionary: 'descr', 'fortran_order' and 'shape', each once, in any order.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  std::optional<Header> parse() {
    Header header;
    bool descriptor = false, order = false, shape = false;
    if (!accept("{")) return std::nullopt;
    while (!accept("}")) {
      const auto key = string();
      if (!key || !accept(":")) return std::nullopt;
      if (*key == "descr" && !descriptor) {
        const auto value = string();
        if (!value) return std::nullopt;
        header.descriptor = *value;
        descriptor = true;
      } else if (*key == "fortran_order" && !order) {
        header.fortran_order = accept("True");
        if (!header.fortran_order && !accept("False")) return std::nullopt;
        order = true;
      } else if (*key == "shape" && !shape) {
        if (!tuple(header.shape)) return std::nullopt;
        shape = true;
      } else {
        return std::nullopt;
      }
      if (!accept(",") && !rest_.starts_with('}')) return std::nullopt;
    }
    skip_space();
    if (!rest_.empty() || !descriptor || !order || !shape) return std::nullopt;
    return header;
  }

 private:
  void skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n"), rest_.size()));
  }
  bool accept(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    skip_space();
    return true;
  }
  std::optional<std::string_view> string() {
    const char quote = accept("'") ? '\'' : accept("\"") ? '"' : '\0';
    const size_t end = quote ? rest_.find(quote) : std::string_view::npos;
    if (end == std::string_view::npos) return std::nullopt;
    const auto text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool tuple(Shape& shape) {
    if (!accept("(")) return false;
    while (!accept(")")) {
      int64_t extent = 0;
      const auto [end, failure] =
          std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (failure != std::errc() || extent < 0 || shape.size() == kMaxRank) return false;
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      accept("L");  // Python 2's long.
      shape.push_back(extent);
      if (!accept(",") && !rest_.starts_with(')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

// From first-axis-fastest to row-major order.
NewBytes transpose(std::span<const std::byte> fortran, const Shape& shape, size_t element) {
  NewBytes out = allocate_shared_bytes(fortran.size());
  std::vector<size_t> strides(shape.size()), index(shape.size(), 0);
  size_t stride = element;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    strides[axis] = stride;
    stride *= static_cast<size_t>(shape[axis]);
  }
  size_t source = 0;
  for (size_t at = 0; at < fortran.size(); at += element) {
    std::memcpy(out.bytes.data() + at, fortran.data() + source, element);
    for (size_t axis = shape.size(); axis-- > 0;) {
      source += strides[axis];
      if (++index[axis] < static_cast<size_t>(shape[axis])) break;
      source -= strides[axis] * index[axis];
      index[axis] = 0;
    }
  }
  return out;
}

Result<Tensor> read_array(InputFile& file) {
  ByteReader reader(file, 0);
  std::string magic, text;
  uint64_t major = 0, minor = 0, length = 0;
  if (!reader.read_string(kMagic.size(), magic) || magic != kMagic) {
    return file.error("is no .npy file; numpy.save writes one");
  }
  if (!reader.read_uint(1, major) || !reader.read_uint(1, minor)) {
    return file.error("is cut short in its header");
  }
  if (major < 1 || major > 3) {
    return file.error("is of .npy version " + std::to_string(major) + "; Caldera reads 1 to 3");
  }
  if (!reader.read_uint(major == 1 ? 2 : 4, length)) {
    return file.error("is cut short in its header");
  }
  if (length > kMaxHeader) return file.error("has a header that is no array's");
  if (!reader.read_string(length, text)) return file.error("is cut short in its header");
  const auto header = HeaderParser(text).parse();
  if (!header) return file.error("has a header that is no array's");

  const auto* row =
      std::ranges::find(kDescriptors, std::string_view(header->descriptor), &Descriptor::text);
  if (row == std::end(kDescriptors)) {
    return file.error("has elements of " + in_quotes(header->descriptor) +
                      ", which Caldera does not read; astype('<f4') makes it float32");
  }
  const auto size = byte_count(header->shape, dtype_size(row->dtype));
  if (!size) return file.error("has an impossible shape");
  if (*size != reader.remaining()) {
    return file.error(*size > reader.remaining() ? "is cut short: less data than its shape asks for"
                                                 : "has more data than its shape asks for");
  }
  CALDERA_TRY_ASSIGN(NewBytes data, file.read_block(reader.offset(), *size));
  if (header->fortran_order && header->shape.size() > 1 && *size > 0) {
    data = transpose(data.bytes, header->shape, dtype_size(row->dtype));
  }
  return Tensor(row->dtype, header->shape, data.bytes, data.owner);
}

Status write_array(const std::filesystem::path& path, const Tensor& tensor) {
  const auto* row = std::ranges::find(kDescriptors, tensor.dtype(), &Descriptor::dtype);
  if (row == std::end(kDescriptors)) {
    return Error{ErrorCode::kUnsupported, path.string() + ": NumPy has no " +
                                              std::string(dtype_name(tensor.dtype())) +
                                              "; convert the tensor to f32 first"};
  }
  std::string header =
      "{'descr': '" + std::string(row->text) + "', 'fortran_order': False, 'shape': (";
  for (const int64_t extent : tensor.shape()) header += std::to_string(extent) + ",";
  header += "), }";
  constexpr size_t kPreamble = 10;  // Magic, version, length.
  header.append(kAlignment - (kPreamble + header.size() + 1) % kAlignment, ' ');
  header += '\n';

  CALDERA_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  CALDERA_TRY(file.write(kMagic));
  const std::array<char, 4> version_and_length = {1, 0, static_cast<char>(header.size() & 0xff),
                                                  static_cast<char>(header.size() >> 8)};
  CALDERA_TRY(file.write(std::string_view(version_and_length.data(), version_and_length.size())));
  CALDERA_TRY(file.write(header));
  CALDERA_TRY(file.write(tensor.bytes()));
  return file.commit();
}

}  // namespace

Result<Tensor> read_npy(const std::filesystem::path& path) {
  return at_boundary<Result<Tensor>>(path, [&]() -> Result<Tensor> {
    CALDERA_TRY_ASSIGN(InputFile file, InputFile::open(path));
    return read_array(file);
  });
}

Status write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  return at_boundary<Status>(path, [&] { return write_array(path, tensor); });
}

}  // namespace caldera
