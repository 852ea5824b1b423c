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

#include "runtime/place.h"
#include "runtime/shader.h"
#include "shaders/common/channels.h"
#include "shaders/common/grid_params.h"

namespace caldera {

// How a parameter lies in device memory, padded with zeros. Outputs are padded as the activations
// that they make are: Os = 4 * stored_vectors(O), likewise Cs. Inputs are padded to I4 whole
// vectors of four, so that those of a group stand side by side.
enum class WeightLayout : uint8_t {
  kVector,     // [C] -> [Cs]; f32 always.
  kOhwi,       // [O, I, KH, KW] -> [Os][KH][KW][I4 * 4]; a matrix [O, I] -> [Os][I4 * 4]
  kPanels,     // [O, I, KH, KW] -> [O8][KH][KW][I4][8][4], O8 panels of eight output channels.
  kHwio,       // [O, I, KH, KW] -> [KH][KW][Is][Os]; a matrix [O, I] -> [Is][Os]
  kTapsFirst,  // Depthwise [C, 1, KH, KW] -> [KH][KW][Cs]
  kWinograd2,  // [O, I, 3, 3], transformed -> 16 times [O8][I4][8][4]; f32 always.
  kWinograd4,  // The same 36 times.
};

// A parameter in one layout: uploaded once, however many dispatches read it. What training changes
// is packed by a dispatch instead, into a workspace (Emitter::weight).
struct PackedWeight {
  ValueId value = ValueId::kNone;
  WeightLayout layout = WeightLayout::kVector;
  Storage storage = Storage::kF32;  // Where the layout is not f32 always.
  uint64_t bytes = 0;
  Place place;  // In the blocks of the weights.
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

// Vectors of four that hold `channels` of a weight's inputs.
constexpr uint32_t vectors(int64_t channels) {
  return static_cast<uint32_t>((channels + 3) / 4);
}

// Vectors of four that activations of `channels` are stored in: shaders/common/channels.h.
constexpr uint32_t stored_vectors(int64_t channels) {
  return shader::stored_vectors(static_cast<uint32_t>(channels));
}

// An activation's shape as the device has it: NHWC; [N, F] is an image of one pixel.
struct ImageShape {
  // Precondition: the value's storage was chosen.
  explicit ImageShape(const Value& value)
      : n(value.shape[0]),
        c(value.shape[1]),
        h(value.shape.size() == 4 ? value.shape[2] : 1),
        w(value.shape.size() == 4 ? value.shape[3] : 1),
        storage(value.storage.value()) {}

  int64_t n, c, h, w;
  Storage storage;

  uint32_t c4() const { return stored_vectors(c); }
  int64_t pixels() const { return h * w; }
  // Of one image, in the arena.
  uint64_t image_bytes() const {
    return static_cast<uint64_t>(pixels()) * c4() * 4 * element_bytes(storage);
  }
  uint64_t bytes() const { return static_cast<uint64_t>(n) * image_bytes(); }
  // Of one image, dense.
  uint64_t dense_image_bytes() const { return static_cast<uint64_t>(c * pixels()) * 4; }
};

// How a node's activations are stored, its first input above all; what is always f32 (statistics,
// losses) stands behind it. kF32 for a node that reads none. Precondition: a plan chose storages.
Storage storage_of(const Graph& graph, const Node& node);

}  // namespace caldera
