// Layout changes of parameters, on the host, once, straight into the memory that is uploaded:
// kernels then load whole vectors.
#include "graph/pack_weights.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "graph/half.h"

namespace caldera {

namespace {

// A parameter with its channels' factors.
struct Scaled {
  std::span<const float> values;
  const Shape& shape;
  std::span<const double> scales;

  size_t extent(size_t dimension) const {
    return dimension < shape.size() ? static_cast<size_t>(shape[dimension]) : 1;
  }
  size_t taps() const { return extent(2) * extent(3); }
  double scale(size_t channel) const { return scales.empty() ? 1.0 : scales[channel]; }
  // In double and rounded once, where there is a factor.
  float at(size_t channel, size_t index) const {
    return scales.empty() ? values[index] : static_cast<float>(values[index] * scales[channel]);
  }
};

struct Half {
  uint16_t bits;
};
struct Bf16 {
  uint16_t bits;
};

void store(float value, float& to) {
  to = value;
}
void store(float value, Half& to) {
  to.bits = float_to_half(value);
}
void store(float value, Bf16& to) {
  to.bits = float_to_bf16(value);
}

// [O, I, KH, KW] or [O, I] -> [Os][taps][I4 * 4]
template <typename Element>
void pack_ohwi(const Scaled& weight, std::span<Element> packed) {
  const size_t inputs = weight.extent(1);
  const size_t taps = weight.taps();
  const size_t row = size_t{vectors(weight.shape[1])} * 4;
  for (size_t o = 0; o < weight.extent(0); ++o) {
    for (size_t tap = 0; tap < taps; ++tap) {
      const size_t from = o * inputs * taps + tap;
      Element* to = packed.data() + (o * taps + tap) * row;
      for (size_t i = 0; i < inputs; ++i) store(weight.at(o, from + i * taps), to[i]);
    }
  }
}

// [O, I, KH, KW] or [O, I] -> [O8][taps][I4][8][4]
template <typename Element>
void pack_panels(const Scaled& weight, std::span<Element> packed) {
  const size_t inputs = weight.extent(1);
  const size_t taps = weight.taps();
  const size_t blocks = vectors(weight.shape[1]);
  for (size_t o = 0; o < weight.extent(0); ++o) {
    for (size_t tap = 0; tap < taps; ++tap) {
      const size_t from = o * inputs * taps + tap;
      Element* to = packed.data() + (o / 8 * taps + tap) * blocks * 32 + o % 8 * 4;
      for (size_t i = 0; i < inputs; ++i) {
        store(weight.at(o, from + i * taps), to[i / 4 * 32 + i % 4]);
      }
    }
  }
}

// [O, I, KH, KW] or [O, I] -> [taps][Is][Os]
template <typename Element>
void pack_hwio(const Scaled& weight, std::span<Element> packed) {
  const size_t inputs = weight.extent(1);
  const size_t taps = weight.taps();
  const size_t columns = size_t{stored_vectors(weight.shape[0])} * 4;
  const size_t rows = size_t{stored_vectors(weight.shape[1])} * 4;
  for (size_t tap = 0; tap < taps; ++tap) {
    for (size_t i = 0; i < inputs; ++i) {
      Element* to = packed.data() + (tap * rows + i) * columns;
      for (size_t o = 0; o < weight.extent(0); ++o) {
        store(weight.at(o, (o * inputs + i) * taps + tap), to[o]);
      }
    }
  }
}

// [C, 1, KH, KW] -> [taps][Cs]
template <typename Element>
void pack_taps_first(const Scaled& weight, std::span<Element> packed) {
  const size_t taps = weight.taps();
  const size_t row = size_t{stored_vectors(weight.shape[0])} * 4;
  for (size_t c = 0; c < weight.extent(0); ++c) {
    for (size_t tap = 0; tap < taps; ++tap) {
      store(weight.at(c, c * taps + tap), packed[tap * row + c]);
    }
  }
}

// The filter transform G of F(m x m, 3 x 3) (Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", arXiv 1509.09308): U = G g G^T, for points 0, 1, -1 and, of m = 4, 2, -2, with
// infinity.
constexpr std::array<std::array<double, 3>, 4> kG2 = {
    {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}};
constexpr std::array<std::array<double, 3>, 6> kG4 = {{{1.0 / 4, 0, 0},
                                                       {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                                       {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                                       {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                                       {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                                       {0, 0, 1}}};

// U = G g G^T of one filter, times `scale`; element e is stored at to[e * stride].
template <size_t Size>
void transform_filter(const float* filter, double scale,
                      const std::array<std::array<double, 3>, Size>& g, float* to, size_t stride) {
  double left[Size][3];
  for (size_t r = 0; r < Size; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      left[r][c] =
          (g[r][0] * filter[c] + g[r][1] * filter[3 + c] + g[r][2] * filter[6 + c]) * scale;
    }
  }
  for (size_t r = 0; r < Size; ++r) {
    for (size_t c = 0; c < Size; ++c, to += stride) {
      *to = static_cast<float>(left[r][0] * g[c][0] + left[r][1] * g[c][1] + left[r][2] * g[c][2]);
    }
  }
}

// [O, I, 3, 3] -> [Size * Size][O8][I4][8][4], of which the last two extents, 32 floats, are made
// at once: the elements lie far apart.
template <size_t Size>
void pack_winograd(const Scaled& weight, const std::array<std::array<double, 3>, Size>& g,
                   std::span<float> packed) {
  constexpr size_t kElements = Size * Size;
  const size_t outputs = weight.extent(0);
  const size_t inputs = weight.extent(1);
  const size_t blocks = (outputs + 7) / 8 * vectors(weight.shape[1]);
  std::array<float, kElements * 32> made{};
  for (size_t block = 0; block < blocks; ++block) {
    const size_t first_o = block / vectors(weight.shape[1]) * 8;
    const size_t first_i = block % vectors(weight.shape[1]) * 4;
    made.fill(0);
    for (size_t o = first_o; o < std::min(first_o + 8, outputs); ++o) {
      for (size_t i = first_i; i < std::min(first_i + 4, inputs); ++i) {
        transform_filter(weight.values.data() + (o * inputs + i) * 9, weight.scale(o), g,
                         made.data() + (o - first_o) * 4 + i - first_i, 32);
      }
    }
    for (size_t e = 0; e < kElements; ++e) {
      std::copy_n(made.data() + e * 32, 32, packed.data() + (e * blocks + block) * 32);
    }
  }
}

template <typename Element>
std::span<Element> as(std::span<std::byte> bytes) {
  return {reinterpret_cast<Element*>(bytes.data()), bytes.size() / sizeof(Element)};
}

// In layouts whose elements are as the plan stores them.
template <typename Element>
void pack_stored(const Scaled& weight, WeightLayout layout, std::span<Element> packed) {
  switch (layout) {
    case WeightLayout::kOhwi:
      return pack_ohwi(weight, packed);
    case WeightLayout::kPanels:
      return pack_panels(weight, packed);
    case WeightLayout::kHwio:
      return pack_hwio(weight, packed);
    case WeightLayout::kTapsFirst:
      return pack_taps_first(weight, packed);
    default:
      assert(false && "always f32");
  }
}

}  // namespace

void pack_weight(std::span<const float> values, const Shape& shape, std::span<const double> scales,
                 WeightLayout layout, Storage storage, std::span<std::byte> packed) {
  const Scaled weight{values, shape, scales};
  std::fill(packed.begin(), packed.end(), std::byte{0});
  switch (layout) {
    case WeightLayout::kVector:
      for (size_t c = 0; c < values.size(); ++c) as<float>(packed)[c] = weight.at(c, c);
      return;
    case WeightLayout::kWinograd2:
      return pack_winograd(weight, kG2, as<float>(packed));
    case WeightLayout::kWinograd4:
      return pack_winograd(weight, kG4, as<float>(packed));
    default:
      break;
  }
  switch (storage) {
    case Storage::kF32:
      return pack_stored(weight, layout, as<float>(packed));
    case Storage::kF16:
      return pack_stored(weight, layout, as<Half>(packed));
    case Storage::kBf16:
      return pack_stored(weight, layout, as<Bf16>(packed));
    default:
      assert(false && "weights are stored in floating point");
  }
}

std::vector<float> transpose_weight(std::span<const float> values, const Shape& shape,
                                    const TransposeWeightAttrs& attrs) {
  const auto groups = static_cast<size_t>(attrs.groups);
  const size_t outputs = static_cast<size_t>(shape[0]) / groups;
  const auto inputs = static_cast<size_t>(shape[1]);
  const bool image = shape.size() == 4;
  const size_t width = image ? static_cast<size_t>(shape[3]) : 1;
  const size_t taps = image ? static_cast<size_t>(shape[2]) * width : 1;
  std::vector<size_t> taken;  // From the last on.
  for (auto ky = image ? attrs.first.h : 0; ky < (image ? shape[2] : 1); ky += attrs.stride.h) {
    for (auto kx = image ? attrs.first.w : 0; kx < (image ? shape[3] : 1); kx += attrs.stride.w) {
      taken.push_back(static_cast<size_t>(ky) * width + static_cast<size_t>(kx));
    }
  }
  std::ranges::reverse(taken);
  std::vector<float> transposed;
  transposed.reserve(groups * inputs * outputs * taken.size());
  for (size_t group = 0; group < groups; ++group) {
    for (size_t i = 0; i < inputs; ++i) {
      for (size_t o = group * outputs; o < (group + 1) * outputs; ++o) {
        const auto filter = values.subspan((o * inputs + i) * taps, taps);
        for (const size_t tap : taken) transposed.push_back(filter[tap]);
      }
    }
  }
  return transposed;
}

std::vector<float> unpack_state(const float* packed, const Shape& shape) {
  const auto count = static_cast<size_t>(element_count(shape));
  if (shape.size() < 2) return {packed, packed + count};
  const auto inputs = static_cast<size_t>(shape[1]);
  const size_t taps = shape.size() == 4 ? static_cast<size_t>(shape[2] * shape[3]) : 1;
  const size_t row = size_t{vectors(shape[1])} * 4;
  std::vector<float> dense(count);
  for (size_t index = 0; index < count; ++index) {
    const size_t tap = index % taps;
    const size_t i = index / taps % inputs;
    const size_t o = index / (taps * inputs);
    dense[index] = packed[(o * taps + tap) * row + i];
  }
  return dense;
}

}  // namespace caldera
