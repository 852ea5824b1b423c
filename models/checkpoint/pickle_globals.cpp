// The allow-list. Names as PyTorch 0.1.10 to 2.x write them; Python 2's beside Python 3's, since
// protocol 2 bears the old ones; NumPy's scalars, which stand in many files as a best accuracy.
#include "models/checkpoint/pickle_globals.h"

#include <algorithm>
#include <string>

namespace caldera {

namespace {

using enum GlobalKind;

constexpr ElementType of(DType dtype, size_t size) {
  return {size, dtype};
}
constexpr ElementType unknown(size_t size) {
  return {size, std::nullopt};
}

constexpr Global kGlobals[] = {
    {"collections.OrderedDict", kDict},
    {"collections.defaultdict", kDict},
    {"collections.Counter", kDict},
    {"builtins.dict", kDict},
    {"__builtin__.dict", kDict},
    {"builtins.list", kList},
    {"__builtin__.list", kList},
    {"builtins.tuple", kTuple},
    {"__builtin__.tuple", kTuple},
    {"torch.Size", kTuple},
    {"builtins.set", kSet},
    {"__builtin__.set", kSet},
    {"builtins.frozenset", kSet},
    {"__builtin__.frozenset", kSet},

    {"builtins.int", kOpaque},
    {"__builtin__.int", kOpaque},
    {"builtins.float", kOpaque},
    {"__builtin__.float", kOpaque},
    {"builtins.bool", kOpaque},
    {"__builtin__.bool", kOpaque},
    {"builtins.complex", kOpaque},
    {"__builtin__.complex", kOpaque},
    {"builtins.bytearray", kOpaque},
    {"__builtin__.bytearray", kOpaque},
    {"builtins.bytes", kOpaque},
    {"__builtin__.bytes", kOpaque},
    {"_codecs.encode", kOpaque},
    {"torch.device", kOpaque},
    {"torch.strided", kOpaque},
    {"torch.serialization._get_layout", kOpaque},
    {"torch.Tensor", kOpaque},
    {"torch.nn.parameter.Parameter", kOpaque},
    {"torch.nn.parameter.Buffer", kOpaque},
    {"numpy.core.multiarray.scalar", kOpaque},
    {"numpy._core.multiarray.scalar", kOpaque},
    {"numpy.core.multiarray._reconstruct", kOpaque},
    {"numpy._core.multiarray._reconstruct", kOpaque},
    {"numpy.ndarray", kOpaque},
    {"numpy.dtype", kOpaque},

    {"torch._utils._rebuild_tensor", kRebuildTensor},
    {"torch._utils._rebuild_tensor_v2", kRebuildTensor},
    {"torch._utils._rebuild_tensor_v3", kRebuildTensorV3},
    {"torch._utils._rebuild_parameter", kRebuildParameter},
    {"torch._utils._rebuild_parameter_with_state", kRebuildParameter},
    {"torch._tensor._rebuild_from_type_v2", kRebuildFromType},

    {"torch.DoubleStorage", kStorageType, of(DType::kF64, 8)},
    {"torch.FloatStorage", kStorageType, of(DType::kF32, 4)},
    {"torch.HalfStorage", kStorageType, of(DType::kF16, 2)},
    {"torch.BFloat16Storage", kStorageType, of(DType::kBF16, 2)},
    {"torch.LongStorage", kStorageType, of(DType::kI64, 8)},
    {"torch.IntStorage", kStorageType, of(DType::kI32, 4)},
    {"torch.ShortStorage", kStorageType, of(DType::kI16, 2)},
    {"torch.CharStorage", kStorageType, of(DType::kI8, 1)},
    {"torch.ByteStorage", kStorageType, of(DType::kU8, 1)},
    {"torch.BoolStorage", kStorageType, of(DType::kBool, 1)},
    {"torch.ComplexDoubleStorage", kStorageType, unknown(16)},
    {"torch.ComplexFloatStorage", kStorageType, unknown(8)},
    {"torch.QInt8Storage", kStorageType, unknown(1)},
    {"torch.QUInt8Storage", kStorageType, unknown(1)},
    {"torch.QInt32Storage", kStorageType, unknown(4)},
    {"torch.QUInt4x2Storage", kStorageType, unknown(1)},
    {"torch.QUInt2x4Storage", kStorageType, unknown(1)},
    {"torch.storage.UntypedStorage", kStorageType, of(DType::kU8, 1)},
    {"torch.storage._UntypedStorage", kStorageType, of(DType::kU8, 1)},
    {"torch.UntypedStorage", kStorageType, of(DType::kU8, 1)},
    {"torch.storage.TypedStorage", kOpaque},
    {"torch.storage._TypedStorage", kOpaque},

    {"torch.float64", kDType, of(DType::kF64, 8)},
    {"torch.float32", kDType, of(DType::kF32, 4)},
    {"torch.float16", kDType, of(DType::kF16, 2)},
    {"torch.bfloat16", kDType, of(DType::kBF16, 2)},
    {"torch.int64", kDType, of(DType::kI64, 8)},
    {"torch.int32", kDType, of(DType::kI32, 4)},
    {"torch.int16", kDType, of(DType::kI16, 2)},
    {"torch.int8", kDType, of(DType::kI8, 1)},
    {"torch.uint8", kDType, of(DType::kU8, 1)},
    {"torch.bool", kDType, of(DType::kBool, 1)},
    {"torch.complex128", kDType, unknown(16)},
    {"torch.complex64", kDType, unknown(8)},
    {"torch.complex32", kDType, unknown(4)},
    {"torch.uint16", kDType, unknown(2)},
    {"torch.uint32", kDType, unknown(4)},
    {"torch.uint64", kDType, unknown(8)},
    {"torch.qint8", kDType, unknown(1)},
    {"torch.quint8", kDType, unknown(1)},
    {"torch.qint32", kDType, unknown(4)},
    {"torch.float8_e4m3fn", kDType, unknown(1)},
    {"torch.float8_e5m2", kDType, unknown(1)},
    {"torch.float8_e4m3fnuz", kDType, unknown(1)},
    {"torch.float8_e5m2fnuz", kDType, unknown(1)},
};

}  // namespace

const Global* find_global(std::string_view module, std::string_view name) {
  // Before storages were named by their CPU type.
  constexpr std::string_view kCuda = "torch.cuda";
  if (module == kCuda && name.ends_with("Storage")) module = "torch";
  const std::string full = std::string(module) + "." + std::string(name);
  const auto* row = std::ranges::find(kGlobals, std::string_view(full), &Global::name);
  return row == std::end(kGlobals) ? nullptr : row;
}

}  // namespace caldera
