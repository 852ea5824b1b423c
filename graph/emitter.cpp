// Bindings of a run of images, parameters packed once, dispatches folded to the device's limits.
#include "graph/emitter.h"

#include <algorithm>
#include <cassert>

#include "graph/align.h"
#include "graph/kernel.h"
#include "shaders/layout/pack_weight_params.h"

namespace caldera {

uint64_t packed_bytes(const Shape& shape, WeightLayout layout, Storage storage) {
  const uint64_t vector = 4 * element_bytes(storage);
  const uint64_t rows = uint64_t{stored_vectors(shape[0])} * 4;
  const auto taps = static_cast<uint64_t>(shape.size() == 4 ? shape[2] * shape[3] : 1);
  const uint64_t inputs4 = shape.size() > 1 ? vectors(shape[1]) : 0;
  const uint64_t packed_panels = static_cast<uint64_t>((shape[0] + 7) / 8) * inputs4 * 32;
  switch (layout) {
    case WeightLayout::kVector:
      return rows * sizeof(float);
    case WeightLayout::kOhwi:
      return rows * taps * inputs4 * vector;
    case WeightLayout::kHwio:
      return rows * taps * stored_vectors(shape[1]) * vector;
    case WeightLayout::kPanels:
      return packed_panels * taps * element_bytes(storage);
    case WeightLayout::kTapsFirst:
      return stored_vectors(shape[0]) * taps * vector;
    case WeightLayout::kWinograd2:
      return 16 * packed_panels * sizeof(float);
    case WeightLayout::kWinograd4:
      return 36 * packed_panels * sizeof(float);
  }
  return 0;
}

Storage storage_of(const Graph& graph, const Node& node) {
  for (const ValueId input : node.inputs) {
    const Value& value = graph.value(input);
    const bool activation = value.role == ValueRole::kInput || value.role == ValueRole::kActivation;
    if (activation) return value.storage.value();
  }
  return Storage::kF32;
}

Binding Emitter::activation(ValueId value) const {
  return activation(value, first_, images_);
}

Binding Emitter::activation(ValueId value, int64_t first, int64_t count) const {
  const uint64_t image = shape(value).image_bytes();
  return {BindingKind::kActivation, static_cast<uint32_t>(value),
          static_cast<uint64_t>(first) * image, static_cast<uint64_t>(count) * image};
}

Binding Emitter::weight(ValueId value, WeightLayout layout) {
  PackedWeight weight{.value = value, .layout = layout, .storage = storage_, .source = value};
  const Value& v = graph_.value(value);
  if (v.role == ValueRole::kActivation) {  // Made by TransposeWeight, which runs nothing itself.
    const Node& transpose = graph_.node(v.producer);
    weight.source = transpose.inputs[0];
    weight.transpose = std::get<TransposeWeightAttrs>(transpose.attrs);
  }
  weight.bytes = packed_bytes(v.shape, layout, storage_);
  if (states_.holds(weight.source)) return packed_state(weight);

  const auto [at, is_new] =
      weight_index_.emplace(WeightKey(value, layout, storage_), weights_.size());
  if (is_new) weights_.push_back(weight);
  return {BindingKind::kWeight, at->second, 0, weight.bytes};
}

Binding Emitter::packed_state(const PackedWeight& weight) {
  const bool lies_so = weight.layout == WeightLayout::kVector ||
                       (weight.layout == WeightLayout::kOhwi && storage_ == Storage::kF32);
  if (lies_so && !weight.transpose) return state(weight.source);
  const auto [at, is_new] = packed_index_.emplace(std::pair(weight.value, weight.layout),
                                                  static_cast<uint32_t>(workspaces_.size()));
  const Binding packed{BindingKind::kWorkspace, at->second, 0, weight.bytes};
  if (is_new) {
    workspaces_.push_back(weight.bytes);
    pack(weight, packed);
  }
  return packed;
}

void Emitter::pack(const PackedWeight& weight, const Binding& packed) {
  const Shape& shape = graph_.value(weight.value).shape;
  const Shape& source = graph_.value(weight.source).shape;
  const bool image = shape.size() == 4;
  const TransposeWeightAttrs taps = weight.transpose.value_or(TransposeWeightAttrs{.groups = 0});
  const shader::PackWeightParams p{.outputs = static_cast<uint32_t>(shape[0]),
                                   .inputs = static_cast<uint32_t>(shape[1]),
                                   .kernel_h = image ? static_cast<uint32_t>(shape[2]) : 1,
                                   .kernel_w = image ? static_cast<uint32_t>(shape[3]) : 1,
                                   .source_inputs = static_cast<uint32_t>(source[1]),
                                   .source_h = image ? static_cast<uint32_t>(source[2]) : 1,
                                   .source_w = image ? static_cast<uint32_t>(source[3]) : 1,
                                   .first_h = static_cast<uint32_t>(taps.first.h),
                                   .first_w = static_cast<uint32_t>(taps.first.w),
                                   .stride_h = static_cast<uint32_t>(taps.stride.h),
                                   .stride_w = static_cast<uint32_t>(taps.stride.w)};
  const Binding from = state(weight.source);
  const bool texels = capabilities_.max_storage_texel_buffers > 0 &&
                      from.size <= texel_buffer_bytes(capabilities_, Storage::kF32);
  const bool whole = taps.groups <= 1 || p.source_inputs % 4 == 0;
  ShaderId shader = texels ? ShaderId::pack_weight_texels : ShaderId::pack_weight;
  std::vector<uint32_t> constants = {static_cast<uint32_t>(weight.layout),
                                     weight.transpose.has_value(), whole};
  // A tap between four channels and four an invocation.
  uint64_t invocations =
      round_up(p.outputs, 8) / 4 * stored_vectors(shape[1]) * p.kernel_h * p.kernel_w;
  const bool two = weight.layout == WeightLayout::kWinograd2;
  if (two || weight.layout == WeightLayout::kWinograd4) {
    shader = ShaderId::pack_winograd;
    constants = {two, weight.transpose.has_value(), rolls_stores()};
    invocations /= uint64_t{p.kernel_h} * p.kernel_w;  // Whole filters.
  }
  Dispatch& made = dispatch(node_, shader, p, {from, packed}, invocations);
  made.constants.insert(made.constants.end(), constants.begin(), constants.end());
}

Binding Emitter::state(ValueId value) const {
  return {BindingKind::kState, static_cast<uint32_t>(value), 0,
          state_bytes(graph_.value(value).shape)};
}

Binding Emitter::states(ValueId first, ValueId last) const {
  assert(states_.place(first).block == states_.place(last).block);
  return {BindingKind::kState, static_cast<uint32_t>(first), 0,
          states_.place(last).offset + state(last).size - states_.place(first).offset};
}

Binding Emitter::table(std::vector<uint32_t> words) {
  const uint64_t bytes = (words.size() * sizeof(uint32_t) + 15) / 16 * 16;
  weights_.push_back({.bytes = bytes, .table = std::move(words)});
  return {BindingKind::kWeight, static_cast<uint32_t>(weights_.size() - 1), 0, bytes};
}

Binding Emitter::unused(ValueId weight_value) {
  constexpr uint64_t kLittle = 16;
  if (states_.holds(weight_value)) {
    return {BindingKind::kState, static_cast<uint32_t>(weight_value), 0, kLittle};
  }
  for (const auto& [key, index] : weight_index_) {
    if (std::get<0>(key) == weight_value) return {BindingKind::kWeight, index, 0, kLittle};
  }
  for (const auto& [key, index] : packed_index_) {
    if (key.first == weight_value) return {BindingKind::kWorkspace, index, 0, kLittle};
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

Dispatch& Emitter::dispatch(NodeId node, StoredShader shader, const PushConstants& push,
                            std::vector<Binding> bindings, uint64_t invocations) {
  Dispatch& made = dispatch(node, shader.shader, push, std::move(bindings), invocations);
  made.shader = with_storage(shader.shader, shader.storage);
  return made;
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
  made.shader = with_storage(shader, storage_);
  made.constants = {workgroup_size};
  made.push = push;
  made.bindings = std::move(bindings);
  made.workgroups = {static_cast<uint32_t>(columns), static_cast<uint32_t>(rows), 1};
  return made;
}

}  // namespace caldera
