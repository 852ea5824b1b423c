// Bindings of a run of images, parameters packed once, dispatches folded to the device's limits.
#include "graph/emitter.h"

#include <algorithm>

#include "graph/align.h"

namespace caldera {

uint64_t packed_bytes(const Shape& shape, WeightLayout layout, Precision precision) {
  const uint64_t vector = 4 * element_bytes(precision);
  const uint64_t rows = uint64_t{vectors(shape[0])} * 4;
  const auto taps = static_cast<uint64_t>(shape.size() == 4 ? shape[2] * shape[3] : 1);
  const uint64_t inputs4 = shape.size() > 1 ? vectors(shape[1]) : 0;
  const uint64_t packed_panels = static_cast<uint64_t>((shape[0] + 7) / 8) * inputs4 * 32;
  switch (layout) {
    case WeightLayout::kVector:
      return rows * sizeof(float);
    case WeightLayout::kOhwi:
    case WeightLayout::kHwio:
      return rows * taps * inputs4 * vector;
    case WeightLayout::kPanels:
      return packed_panels * taps * element_bytes(precision);
    case WeightLayout::kTapsFirst:
      return vectors(shape[0]) * taps * vector;
    case WeightLayout::kWinograd2:
      return 16 * packed_panels * sizeof(float);
    case WeightLayout::kWinograd4:
      return 36 * packed_panels * sizeof(float);
  }
  return 0;
}

Binding Emitter::activation(ValueId value) const {
  const uint64_t image = shape(value).image_bytes();
  return {BindingKind::kActivation, static_cast<uint32_t>(value),
          static_cast<uint64_t>(first_) * image, static_cast<uint64_t>(images_) * image};
}

Binding Emitter::weight(ValueId value, WeightLayout layout) {
  const auto [at, is_new] =
      weight_index_.emplace(std::pair(value, layout), static_cast<uint32_t>(weights_.size()));
  if (is_new) {
    weights_.push_back(
        {value, layout, packed_bytes(graph_.value(value).shape, layout, precision_)});
  }
  return {BindingKind::kWeight, at->second, 0, weights_[at->second].bytes};
}

Binding Emitter::unused(ValueId weight_value) {
  for (const auto& [key, index] : weight_index_) {
    if (key.first == weight_value) return {BindingKind::kWeight, index, 0, 16};
  }
  return weight(weight_value, WeightLayout::kVector);
}

Binding Emitter::workspace(uint64_t bytes) {
  workspaces_.push_back(bytes);
  return {BindingKind::kWorkspace, static_cast<uint32_t>(workspaces_.size() - 1), 0, bytes};
}

Binding Emitter::host_input(uint32_t index) const {
  const uint64_t image = shape(graph_.inputs[index]).dense_image_bytes();
  return {BindingKind::kInput, index, static_cast<uint64_t>(first_) * image,
          static_cast<uint64_t>(images_) * image};
}

Binding Emitter::host_output(uint32_t index) const {
  const uint64_t image = shape(graph_.outputs[index]).dense_image_bytes();
  return {BindingKind::kOutput, index, static_cast<uint64_t>(first_) * image,
          static_cast<uint64_t>(images_) * image};
}

uint32_t Emitter::workgroup_size() const {
  return std::min(
      {64u, capabilities_.max_workgroup_invocations, capabilities_.max_workgroup_size[0]});
}

Dispatch& Emitter::dispatch(NodeId node, ShaderId shader, const PushConstants& push,
                            std::vector<Binding> bindings, uint64_t invocations,
                            uint32_t workgroup_size) {
  const uint64_t workgroups = ceil_div(invocations, workgroup_size);
  const uint64_t widest = capabilities_.max_workgroup_count[0];
  // Longer rows than a device allows are folded into y (shaders/common/grid.glsl).
  const uint64_t rows = ceil_div(workgroups, widest);
  const uint64_t columns = ceil_div(workgroups, rows);
  Dispatch& made = dispatches_.emplace_back();
  made.node = node;
  made.shader = precision_ == Precision::kFp16 ? with_f16_storage(shader) : shader;
  made.constants = {workgroup_size};
  made.push = push;
  made.bindings = std::move(bindings);
  made.workgroups = {static_cast<uint32_t>(columns), static_cast<uint32_t>(rows), 1};
  return made;
}

}  // namespace caldera
