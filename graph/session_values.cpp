// What lies in a session's memory, read and written between runs: activations, and the states that
// training changes.
#include <algorithm>

#include <fmt/format.h>

#include "graph/half.h"
#include "graph/pack_weights.h"
#include "graph/passes/passes.h"
#include "graph/session_impl.h"
#include "graph/validate.h"
#include "runtime/upload.h"

namespace caldera {

namespace {

template <typename Element>
std::vector<float> convert(std::span<const std::byte> bytes, float (*to_float)(Element)) {
  const std::span from(reinterpret_cast<const Element*>(bytes.data()),
                       bytes.size() / sizeof(Element));
  std::vector<float> values(from.size());
  std::ranges::transform(from, values.begin(), to_float);
  return values;
}

std::vector<float> floats_of(std::span<const std::byte> bytes, Storage storage) {
  switch (storage) {
    case Storage::kF16:
      return convert<uint16_t>(bytes, half_to_float);
    case Storage::kBf16:
      return convert<uint16_t>(bytes, bf16_to_float);
    case Storage::kU16:
      return convert<uint16_t>(bytes, [](uint16_t v) { return static_cast<float>(v); });
    case Storage::kU8:
      return convert<uint8_t>(bytes, [](uint8_t v) { return static_cast<float>(v); });
    case Storage::kF32:
      break;
  }
  return convert<float>(bytes, [](float v) { return v; });
}

}  // namespace

Result<std::vector<float>> SessionImpl::read_padded(ValueId activation) const {
  const Plan& plan = program_->plan;
  const auto index = static_cast<uint32_t>(activation);
  if (!program_->options.keep_activations || index >= plan.graph.values.size() ||
      plan.memory.places.size() <= index) {
    return Error{ErrorCode::kInvalidInput,
                 "activations can be read from sessions made with keep_activations alone"};
  }
  const Value& value = plan.graph.value(activation);
  if (value.role != ValueRole::kActivation && value.role != ValueRole::kInput) {
    return Error{ErrorCode::kInvalidInput, fmt::format("'{}' is not an activation", value.name)};
  }
  if (value.role == ValueRole::kActivation && value.producer == NodeId::kNone) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("'{}' was fused into the node after it; turn fusion off to read it",
                             value.name)};
  }
  const std::shared_ptr<DeviceImpl> device = program_->device.impl().shared_from_this();
  const ImageShape shape(value);
  CALDERA_TRY_ASSIGN(const Buffer copy, Buffer::create(device, shape.bytes(), MemoryKind::kReadback,
                                                       "a copy of an activation"));
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device));
  const BufferRange from = arena_->at(plan.arena_place(activation), shape.bytes());
  recorder.copy(*from.buffer, from.offset, copy, 0, from.size);
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  CALDERA_TRY(commands.run());
  return floats_of(copy.mapped().first(shape.bytes()), shape.storage);
}

Result<std::vector<float>> SessionImpl::read(ValueId activation) const {
  CALDERA_TRY_ASSIGN(const std::vector<float> from, read_padded(activation));
  const Value& value = program_->plan.graph.value(activation);
  const ImageShape shape(value);
  const auto channels = static_cast<size_t>(shape.c);
  const auto pixels = static_cast<size_t>(shape.pixels());
  const size_t stride = size_t{shape.c4()} * 4;
  std::vector<float> dense(static_cast<size_t>(element_count(value.shape)));
  for (size_t n = 0; n < static_cast<size_t>(shape.n); ++n) {
    for (size_t c = 0; c < channels; ++c) {
      for (size_t i = 0; i < pixels; ++i) {
        dense[(n * channels + c) * pixels + i] = from[(n * pixels + i) * stride + c];
      }
    }
  }
  return dense;
}

Status SessionImpl::clear_states() {
  CALDERA_TRY_ASSIGN(Recorder recorder,
                     Recorder::create(program_->device.impl().shared_from_this()));
  for (const Buffer& block : states_->buffers()) recorder.fill(block, 0);
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  return commands.run();
}

Status SessionImpl::set_states(const Weights& states) {
  CALDERA_TRY(check_idle());
  const Plan& plan = program_->plan;
  std::vector<UploadItem> items;
  for (size_t i = 0; i < plan.graph.values.size(); ++i) {
    const Value& value = plan.graph.values[i];
    const auto found = states.find(value.name);
    if (!plan.states.holds(static_cast<ValueId>(i)) || found == states.end()) continue;
    const Tensor& tensor = found->second;
    if (tensor.shape() != value.shape) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("'{}' is {}, but the session has {}", value.name,
                               to_string(tensor.shape()), to_string(value.shape))};
    }
    const WeightLayout layout =
        value.shape.size() > 1 ? WeightLayout::kOhwi : WeightLayout::kVector;
    items.push_back({plan.states.place(static_cast<ValueId>(i)), state_bytes(value.shape),
                     [tensor = tensor.to_f32(), &value, layout](std::span<std::byte> to) {
                       pack_weight(tensor.floats(), value.shape, {}, layout, Storage::kF32, to);
                     }});
  }
  return upload(program_->device.impl().shared_from_this(), *states_, items);
}

// The passes on the graph that was given make the parameters that the plan has, of other numbers.
Status SessionImpl::set_weights(const Weights& weights) {
  CALDERA_TRY(check_idle());
  Plan& plan = program_->plan;
  if (plan.states.bytes > 0) {
    return Error{ErrorCode::kInvalidInput,
                 "of a session that trains the states are set, not the weights"};
  }
  if (program_.use_count() > 1) {
    return Error{ErrorCode::kInvalidInput, "forks share a session's weights: end them first"};
  }
  CALDERA_TRY(validate(program_->given, weights));
  Graph graph = program_->given;
  Weights parameters = weights;
  ChannelScales scales;
  if (program_->options.fuse) fold_batch_norm(graph, parameters, scales);
  plan.parameters = std::move(parameters);
  plan.scales = std::move(scales);
  return upload_weights(*program_);
}

Result<Weights> SessionImpl::states() const {
  const Plan& plan = program_->plan;
  std::vector<ValueId> values;
  for (size_t i = 0; i < plan.graph.values.size(); ++i) {
    if (plan.states.holds(static_cast<ValueId>(i))) values.push_back(static_cast<ValueId>(i));
  }
  std::vector<Tensor> tensors(values.size());
  std::vector<DownloadItem> items;
  for (size_t i = 0; i < values.size(); ++i) {
    const Shape& shape = plan.graph.value(values[i]).shape;
    items.push_back({plan.states.place(values[i]), state_bytes(shape),
                     [&shape, &tensor = tensors[i]](std::span<const std::byte> from) {
                       const auto* packed = reinterpret_cast<const float*>(from.data());
                       tensor = Tensor::from_floats(shape, unpack_state(packed, shape));
                     }});
  }
  CALDERA_TRY(download(program_->device.impl().shared_from_this(), *states_, items));
  Weights states;
  for (size_t i = 0; i < values.size(); ++i) {
    states.emplace(plan.graph.value(values[i]).name, std::move(tensors[i]));
  }
  return states;
}

Status SessionImpl::poison() {
  constexpr uint32_t kNan = 0x7fc00000u;
  CALDERA_TRY_ASSIGN(Recorder recorder,
                     Recorder::create(program_->device.impl().shared_from_this()));
  for (const Buffer& block : arena_->buffers()) recorder.fill(block, kNan);
  for (const Frame& frame : frames_) recorder.fill(frame.output, kNan);
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  return commands.run();
}

}  // namespace caldera
