// Host tensors: sizes, names, and conversion to f32.
#include "caldera/tensor.h"

#include <bit>
#include <cstring>
#include <functional>
#include <numeric>

#include "graph/half.h"

namespace caldera {

size_t dtype_size(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
      return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return "f64";
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kI64:
      return "i64";
    case DType::kI32:
      return "i32";
    case DType::kI16:
      return "i16";
    case DType::kI8:
      return "i8";
    case DType::kU8:
      return "u8";
    case DType::kBool:
      return "bool";
  }
  return "?";
}

int64_t element_count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

Tensor::Tensor(DType dtype, Shape shape, std::span<const std::byte> bytes,
               std::shared_ptr<const void> owner)
    : dtype_(dtype), shape_(std::move(shape)), bytes_(bytes), owner_(std::move(owner)) {
  assert(bytes_.size() == static_cast<size_t>(size()) * dtype_size(dtype_));
}

Tensor Tensor::from_bytes(DType dtype, Shape shape, std::vector<std::byte> bytes) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  const std::span<const std::byte> view(*owner);
  return Tensor(dtype, std::move(shape), view, std::move(owner));
}

Tensor Tensor::from_floats(Shape shape, std::vector<float> values) {
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  const auto view = std::as_bytes(std::span<const float>(*owner));
  return Tensor(DType::kF32, std::move(shape), view, std::move(owner));
}

std::span<const float> Tensor::floats() const {
  assert(dtype_ == DType::kF32);
  assert(reinterpret_cast<uintptr_t>(bytes_.data()) % alignof(float) == 0);
  return {reinterpret_cast<const float*>(bytes_.data()), static_cast<size_t>(size())};
}

namespace {

template <typename T, typename Convert>
std::vector<float> convert(std::span<const std::byte> bytes, size_t count, Convert to_float) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    values[i] = to_float(element);
  }
  return values;
}

}  // namespace

Tensor Tensor::to_f32() const {
  const auto count = static_cast<size_t>(size());
  const auto cast = [](auto x) { return static_cast<float>(x); };
  switch (dtype_) {
    case DType::kF32: {
      if (reinterpret_cast<uintptr_t>(bytes_.data()) % alignof(float) == 0) return *this;
      return from_floats(shape_, convert<float>(bytes_, count, cast));
    }
    case DType::kF64:
      return from_floats(shape_, convert<double>(bytes_, count, cast));
    case DType::kF16:
      return from_floats(shape_, convert<uint16_t>(bytes_, count, half_to_float));
    case DType::kBF16:
      return from_floats(shape_, convert<uint16_t>(bytes_, count, [](uint16_t x) {
                           return std::bit_cast<float>(static_cast<uint32_t>(x) << 16);
                         }));
    case DType::kI64:
      return from_floats(shape_, convert<int64_t>(bytes_, count, cast));
    case DType::kI32:
      return from_floats(shape_, convert<int32_t>(bytes_, count, cast));
    case DType::kI16:
      return from_floats(shape_, convert<int16_t>(bytes_, count, cast));
    case DType::kI8:
      return from_floats(shape_, convert<int8_t>(bytes_, count, cast));
    case DType::kU8:
    case DType::kBool:
      return from_floats(shape_, convert<uint8_t>(bytes_, count, cast));
  }
  return *this;
}

}  // namespace caldera
