// Writes a bare state_dict as torch.save does: protocol 2, one storage a tensor. Only opcodes and
// names that torch.load(weights_only=True) accepts.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_set>

#include "caldera/checkpoint.h"

#include "models/checkpoint/boundary.h"
#include "models/checkpoint/text.h"
#include "models/checkpoint/zip_writer.h"

namespace caldera {

namespace {

std::string_view storage_type(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return "DoubleStorage";
    case DType::kF32:
      return "FloatStorage";
    case DType::kF16:
      return "HalfStorage";
    case DType::kBF16:
      return "BFloat16Storage";
    case DType::kI64:
      return "LongStorage";
    case DType::kI32:
      return "IntStorage";
    case DType::kI16:
      return "ShortStorage";
    case DType::kI8:
      return "CharStorage";
    case DType::kU8:
      return "ByteStorage";
    case DType::kBool:
      return "BoolStorage";
  }
  return "";
}

class PickleWriter {
 public:
  PickleWriter() { text_ = "\x80\x02"; }

  void opcode(char code) { text_ += code; }

  void string(std::string_view value) {
    text_ += 'X';
    little_endian(value.size(), 4);
    text_ += value;
  }

  void integer(int64_t value) {
    if (value >= 0 && value < 0x100) {
      text_ += 'K';
      little_endian(static_cast<uint64_t>(value), 1);
    } else if (value >= 0 && value < 0x10000) {
      text_ += 'M';
      little_endian(static_cast<uint64_t>(value), 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      text_ += 'J';
      little_endian(static_cast<uint64_t>(value), 4);
    } else {
      text_ += "\x8a\x08";  // LONG1 of 8 bytes.
      little_endian(static_cast<uint64_t>(value), 8);
    }
  }

  void integers(const Shape& values) {
    if (values.empty()) return opcode(')');
    opcode('(');
    for (const int64_t value : values) integer(value);
    opcode('t');
  }

  // The first use of a slot of the memo writes by `write`; later ones refer to it.
  template <typename Write>
  void once(uint8_t slot, Write write) {
    if (!memo_[slot]) write();
    text_ += memo_[slot] ? 'h' : 'q';
    little_endian(slot, 1);
    memo_[slot] = true;
  }

  void global(uint8_t slot, std::string_view module, std::string_view name) {
    once(slot, [&] {
      text_ += 'c';
      text_ += module;
      text_ += '\n';
      text_ += name;
      text_ += '\n';
    });
  }

  const std::string& text() const { return text_; }

 private:
  void little_endian(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i));
  }

  std::string text_;
  std::array<bool, 256> memo_{};
};

Shape row_major_strides(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);  // As PyTorch counts empty extents.
  }
  return strides;
}

std::string pickle_state_dict(const std::vector<NamedTensor>& tensors) {
  enum Slot : uint8_t { kOrderedDict, kRebuild, kStorage, kCpu, kStorageTypes };
  PickleWriter pickle;
  const auto empty_ordered_dict = [&] {
    pickle.global(kOrderedDict, "collections", "OrderedDict");
    pickle.opcode(')');
    pickle.opcode('R');
  };
  empty_ordered_dict();
  pickle.opcode('(');
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i].tensor;
    pickle.string(tensors[i].name);
    pickle.global(kRebuild, "torch._utils", "_rebuild_tensor_v2");
    pickle.opcode('(');
    pickle.opcode('(');
    pickle.once(kStorage, [&] { pickle.string("storage"); });
    pickle.global(static_cast<uint8_t>(kStorageTypes + static_cast<uint8_t>(tensor.dtype())),
                  "torch", storage_type(tensor.dtype()));
    pickle.string(std::to_string(i));
    pickle.once(kCpu, [&] { pickle.string("cpu"); });
    pickle.integer(tensor.size());
    pickle.opcode('t');
    pickle.opcode('Q');
    pickle.integer(0);
    pickle.integers(tensor.shape());
    pickle.integers(row_major_strides(tensor.shape()));
    pickle.opcode('\x89');  // requires_grad: False
    empty_ordered_dict();   // Backward hooks.
    pickle.opcode('t');
    pickle.opcode('R');
  }
  pickle.opcode('u');
  pickle.opcode('.');
  return pickle.text();
}

Status write_archive(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  CALDERA_TRY(check_names(path, checkpoint.tensors));
  CALDERA_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  ZipWriter zip(file);
  CALDERA_TRY(zip.add("archive/data.pkl", pickle_state_dict(checkpoint.tensors)));
  CALDERA_TRY(zip.add("archive/byteorder", "little"));
  for (size_t i = 0; i < checkpoint.tensors.size(); ++i) {
    CALDERA_TRY(zip.add("archive/data/" + std::to_string(i), checkpoint.tensors[i].tensor.bytes()));
  }
  CALDERA_TRY(zip.add("archive/version", "3\n"));
  CALDERA_TRY(zip.finish());
  return file.commit();
}

}  // namespace

Status write_pytorch(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  return at_boundary<Status>(path, [&] { return write_archive(path, checkpoint); });
}

}  // namespace caldera
