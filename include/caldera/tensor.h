// Host tensors: a dtype, a shape and bytes that several tensors may share. Dense, row-major and
// immutable, so that a memory-mapped file, a checkpoint and a model hold one copy between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caldera/result.h"

namespace caldera {

enum class DType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

// Bytes of one element.
size_t dtype_size(DType dtype);
// "f32", "i64", ...
std::string_view dtype_name(DType dtype);

// Extents, outermost first. Images and activations are [N, C, H, W] everywhere in the API.
using Shape = std::vector<int64_t>;

int64_t element_count(const Shape& shape);
// "[1, 3, 224, 224]"
std::string to_string(const Shape& shape);

class Tensor {
 public:
  Tensor() = default;

  // Takes bytes kept alive by `owner`. Precondition: bytes.size() is the size of the shape.
  Tensor(DType dtype, Shape shape, std::span<const std::byte> bytes,
         std::shared_ptr<const void> owner);

  static Tensor from_floats(Shape shape, std::vector<float> values);
  static Tensor from_bytes(DType dtype, Shape shape, std::vector<std::byte> bytes);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return element_count(shape_); }
  std::span<const std::byte> bytes() const { return bytes_; }

  // The elements of an f32 tensor in place. Precondition: dtype() is kF32 and the bytes are
  // aligned for float (true of all that Caldera makes; to_f32() ensures it).
  std::span<const float> floats() const;

  // This tensor with elements of f32: itself where it has them already, else a converted copy.
  Tensor to_f32() const;

 private:
  DType dtype_ = DType::kF32;
  Shape shape_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

}  // namespace caldera
