// A dispatch before it is recorded: a shader, its constants, and bindings that name values rather
// than memory. Plain data, so that planning and tests need no device.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>
#include <vector>

#include "caldera/graph.h"
#include "caldera/session.h"

#include "runtime/shader.h"
#include "shaders/common/grid_params.h"

namespace caldera {

// How a parameter lies in device memory. Lengths are padded with zeros to whole vectors of four.
enum class WeightLayout : uint8_t {
  kVector,     // [C] -> [C4 * 4]; f32 whatever the precision.
  kOhwi,       // [O, I, KH, KW] -> [O4 * 4][KH][KW][I4 * 4]; a matrix [O, I] -> [O4 * 4][I4 * 4]
  kPanels,     // [O, I, KH, KW] -> [O8][KH][KW][I4][8][4], O8 panels of eight output channels.
  kHwio,       // [O, I, KH, KW] -> [KH][KW][I4 * 4][O4 * 4]; a matrix [O, I] -> [I4 * 4][O4 * 4]
  kTapsFirst,  // Depthwise [C, 1, KH, KW] -> [KH][KW][C4 * 4]
  kWinograd2,  // [O, I, 3, 3], transformed -> 16 times [O8][I4][8][4]; f32 always.
  kWinograd4,  // The same 36 times.
};

// A parameter in one layout: uploaded once, however many dispatches read it. What training changes
// is packed by a dispatch instead, into a workspace (Emitter::weight).
struct PackedWeight {
  ValueId value = ValueId::kNone;
  WeightLayout layout = WeightLayout::kVector;
  uint64_t bytes = 0;
  uint64_t offset = 0;  // In the weights buffer.
  // The parameter that it is packed from: `value`, or what TransposeWeight is to transpose.
  ValueId source = ValueId::kNone;
  std::optional<TransposeWeightAttrs> transpose{};
  std::vector<uint32_t> table{};  // In place of a source: words that a kernel looks things up in.
};

enum class BindingKind : uint8_t {
  kActivation,  // `index` is a ValueId; in the arena.
  kWorkspace,   // `index` is into Plan::workspaces; in the arena.
  kWeight,      // `index` is into Plan::weights.
  kState,       // `index` is a ValueId, of what a StateLayout holds.
  kInput,       // `index` is into Graph::inputs; dense NCHW from the host.
  kOutput,      // `index` is into Graph::outputs; dense NCHW for the host.
};

struct Binding {
  BindingKind kind = BindingKind::kActivation;
  uint32_t index = 0;
  uint64_t offset = 0;  // Bytes from the start of the value.
  uint64_t size = 0;
};

// A shader's own, before which the recorder puts the grid's.
struct PushConstants {
  static constexpr size_t kMost = shader::kMaxPushConstantBytes - sizeof(shader::GridParams);
  std::array<std::byte, kMost> bytes{};
  uint32_t size = 0;

  PushConstants() = default;
  template <typename Params>
  PushConstants(const Params& params) : size(sizeof(Params)) {  // NOLINT: implicit
    static_assert(std::is_trivially_copyable_v<Params> && sizeof(Params) <= kMost);
    std::memcpy(bytes.data(), &params, sizeof(Params));
  }
};

struct Dispatch {
  NodeId node = NodeId::kNone;  // kNone for changes of layout at the edges.
  ShaderId shader{};
  std::vector<uint32_t> constants;  // Specialization constants by id; 0 is the workgroup size.
  uint32_t required_subgroup_size = 0;
  PushConstants push;
  std::vector<Binding> bindings;  // By binding number.
  std::array<uint32_t, 3> workgroups{1, 1, 1};
  int64_t multiply_adds = 0;

  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const Binding& binding : bindings) sum += binding.size;
    return sum;
  }
};

// Bytes of one element in memory.
constexpr uint64_t element_bytes(Precision precision) {
  return precision == Precision::kFp16 ? 2 : 4;
}

// Vectors of four that hold `channels`.
constexpr uint32_t vectors(int64_t channels) {
  return static_cast<uint32_t>((channels + 3) / 4);
}

// An activation's shape as the device has it: NHWC; [N, F] is an image of one pixel.
struct ImageShape {
  ImageShape(const Shape& shape, Precision stored)
      : n(shape[0]),
        c(shape[1]),
        h(shape.size() == 4 ? shape[2] : 1),
        w(shape.size() == 4 ? shape[3] : 1),
        precision(stored) {}
  // In a plan of this precision, which some values do not take.
  ImageShape(const Value& value, Precision plans)
      : ImageShape(value.shape, value.full_precision ? Precision::kFp32 : plans) {}

  int64_t n, c, h, w;
  Precision precision;

  uint32_t c4() const { return vectors(c); }
  int64_t pixels() const { return h * w; }
  // Of one image, in the arena.
  uint64_t image_bytes() const {
    return static_cast<uint64_t>(pixels()) * c4() * 4 * element_bytes(precision);
  }
  uint64_t bytes() const { return static_cast<uint64_t>(n) * image_bytes(); }
  // Of one image, dense.
  uint64_t dense_image_bytes() const { return static_cast<uint64_t>(c * pixels()) * 4; }
};

}  // namespace caldera
