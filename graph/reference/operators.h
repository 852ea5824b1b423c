// The reference's operators, one function each: inputs as dense arrays, sums in double, one
// rounding to float at the end. A function takes its output's shape as given (shape inference has
// its own tests) and is read beside the comment of its attributes in caldera/graph.h.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "caldera/graph.h"

#include "runtime/parallel.h"

namespace caldera::reference {

// A dense row-major operand; [N, F] is taken as [N, F, 1, 1].
struct Array {
  std::span<const float> data;
  Shape shape;

  int64_t n() const { return extent(0); }
  int64_t c() const { return extent(1); }
  int64_t h() const { return extent(2); }
  int64_t w() const { return extent(3); }
  // The plane of channel `channel` of image `image`: h() * w() values.
  const float* plane(int64_t image, int64_t channel) const {
    return data.data() + (image * c() + channel) * h() * w();
  }

 private:
  int64_t extent(size_t dimension) const { return dimension < shape.size() ? shape[dimension] : 1; }
};

double activate(Activation activation, double x);

// What becomes of a sum before it is stored: activation(y + residual).
struct Finish {
  Activation activation = Activation::kNone;
  const float* residual = nullptr;  // Of the output's shape; null where there is none.

  float operator()(double y, int64_t index) const {
    return static_cast<float>(activate(activation, residual ? y + residual[index] : y));
  }
};

using Floats = std::vector<float>;

// `bias` is null where there is none.
Floats conv2d(const Conv2dAttrs& attrs, const Array& x, const Array& weight, const Array* bias,
              const Finish& finish, const Shape& output);
Floats linear(const Array& x, const Array& weight, const Array* bias, const Finish& finish);

Floats batch_norm(const BatchNormAttrs& attrs, const Array& x, const Array& weight,
                  const Array& bias, const Array& mean, const Array& var, const Finish& finish);
Floats activation(const ActivationAttrs& attrs, const Array& x);
Floats add(const AddAttrs& attrs, const Array& a, const Array& b);
Floats multiply(const MultiplyAttrs& attrs, const Array& a, const Array& b);
Floats softmax(const Array& x);

// The maxima and, with attrs.places, where they stand.
std::vector<Floats> max_pool2d(const MaxPool2dAttrs& attrs, const Array& x, const Shape& output);
Floats avg_pool2d(const AvgPool2dAttrs& attrs, const Array& x, const Shape& output);
Floats adaptive_avg_pool2d(const AdaptiveAvgPool2dAttrs& attrs, const Array& x);

Floats concat(const std::vector<Array>& inputs, const Shape& output);
Floats pad(const PadAttrs& attrs, const Array& x, const Shape& output);
Floats subsample(const SubsampleAttrs& attrs, const Array& x, const Shape& output);

}  // namespace caldera::reference
