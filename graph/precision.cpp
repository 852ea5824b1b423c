// Names of precisions and storages, and which of them a device has.
#include "graph/precision.h"

namespace caldera {

namespace {

Precision if_there(Precision precision, bool fp16, bool bf16) {
  switch (precision) {
    case Precision::kFp16:
      return fp16 ? precision : Precision::kFp32;
    case Precision::kBf16:
      return bf16 ? precision : Precision::kFp32;
    case Precision::kFp32:
      break;
  }
  return Precision::kFp32;
}

}  // namespace

std::string_view precision_name(Precision precision) {
  switch (precision) {
    case Precision::kFp16:
      return "fp16";
    case Precision::kBf16:
      return "bf16";
    case Precision::kFp32:
      break;
  }
  return "fp32";
}

std::string_view storage_name(Storage storage) {
  switch (storage) {
    case Storage::kF32:
      return "f32";
    case Storage::kF16:
      return "f16";
    case Storage::kBf16:
      return "bf16";
    case Storage::kU16:
      return "u16";
    case Storage::kU8:
      return "u8";
  }
  return "?";
}

Storage storage_of(Precision precision) {
  switch (precision) {
    case Precision::kFp16:
      return Storage::kF16;
    case Precision::kBf16:
      return Storage::kBf16;
    case Precision::kFp32:
      break;
  }
  return Storage::kF32;
}

Precision supported_precision(const DeviceInfo& device, Precision precision) {
  return if_there(precision, device.fp16, device.bf16);
}

Precision supported_precision(const Capabilities& capabilities, Precision precision) {
  return if_there(precision, capabilities.fp16, capabilities.storage16);
}

}  // namespace caldera
