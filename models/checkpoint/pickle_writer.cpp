// Tensors as torch.save pickles them; see pickle_writer.h.
#include "models/checkpoint/pickle_writer.h"

#include <algorithm>

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

Shape row_major_strides(const Shape& shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);  // As PyTorch counts empty extents.
  }
  return strides;
}

enum Slot : uint8_t { kOrderedDict, kRebuild, kStorage, kCpu, kStorageTypes };

}  // namespace

void PickleWriter::empty_ordered_dict() {
  global(kOrderedDict, "collections", "OrderedDict");
  opcode(')');
  opcode('R');
}

void PickleWriter::tensor(const Tensor& tensor, int64_t storage) {
  global(kRebuild, "torch._utils", "_rebuild_tensor_v2");
  opcode('(');
  opcode('(');
  once(kStorage, [&] { string("storage"); });
  global(static_cast<uint8_t>(kStorageTypes + static_cast<uint8_t>(tensor.dtype())), "torch",
         storage_type(tensor.dtype()));
  string(std::to_string(storage));
  once(kCpu, [&] { string("cpu"); });
  integer(tensor.size());
  opcode('t');
  opcode('Q');
  integer(0);
  integers(tensor.shape());
  integers(row_major_strides(tensor.shape()));
  boolean(false);        // requires_grad
  empty_ordered_dict();  // Backward hooks.
  opcode('t');
  opcode('R');
}

}  // namespace caldera
