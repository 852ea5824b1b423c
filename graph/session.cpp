// Sessions: from a plan to recorded commands, and running them.
#include "caldera/session.h"

#include <algorithm>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "graph/emitter.h"
#include "graph/pack_weights.h"
#include "graph/session_impl.h"
#include "graph/test_hooks.h"
#include "runtime/upload.h"
#include "shaders/data_movement/data_movement_params.h"

namespace caldera {

namespace {

constexpr uint64_t kSmallestBuffer = 256;  // Vulkan has no empty buffers.

Status upload_weights(const std::shared_ptr<DeviceImpl>& device, Program& program) {
  const Plan& plan = program.plan;
  CALDERA_TRY_ASSIGN(program.weights,
                     Buffer::create(device, std::max(plan.weights_bytes, kSmallestBuffer),
                                    MemoryKind::kDevice, "the weights"));
  std::vector<UploadItem> items;
  for (const PackedWeight& weight : plan.weights) {
    const Value& value = plan.graph.value(weight.value);
    const Tensor& tensor = plan.parameters.find(value.name)->second;
    items.push_back({weight.offset, weight.bytes, [&](std::span<std::byte> to) {
                       pack_weight(tensor.floats(), value.shape, weight.layout,
                                   {reinterpret_cast<float*>(to.data()), to.size() / 4});
                     }});
  }
  return upload(device, program.weights, items);
}

// Before anything is allocated: says what batch would fit. Host-visible staging is not counted,
// which on a GPU of its own memory lies elsewhere.
Status check_memory(const Device& device, const Plan& plan, bool with_weights) {
  const uint64_t available = device.impl().available_memory();
  const uint64_t largest = device.impl().capabilities().max_allocation_size;
  const uint64_t weights = with_weights ? plan.weights_bytes : 0;
  const uint64_t arena = plan.memory.bytes;
  if (weights + arena <= available && std::max(weights, arena) <= largest) return {};

  const auto batch = static_cast<uint64_t>(plan.graph.value(plan.graph.inputs[0]).shape[0]);
  const uint64_t image = std::max<uint64_t>(1, arena / batch);
  const uint64_t room = std::min(available > weights ? available - weights : 0, largest);
  std::string advice = "not even one image would fit: choose a smaller image or another device";
  if (weights > largest) {
    advice = "its weights alone are too large: choose another device, or a narrower net";
  } else if (room >= image) {
    advice = fmt::format("a batch of about {} would fit", room / image);
  }
  return Error{ErrorCode::kOutOfMemory,
               fmt::format("a batch of {} takes {} MiB for weights and {} MiB for activations, and "
                           "{} has {} MiB free, {} MiB at most in one piece: {}",
                           batch, weights >> 20, arena >> 20, device.info().name, available >> 20,
                           largest >> 20, advice)};
}

}  // namespace

struct SessionAccess {
  static Result<Session> create(const Device& device, const Capabilities& capabilities,
                                const Graph& graph, const Weights& weights,
                                const SessionOptions& options);
  static SessionImpl& impl(Session& session) { return *session.impl_; }
};

Result<Session> SessionAccess::create(const Device& device, const Capabilities& capabilities,
                                      const Graph& graph, const Weights& weights,
                                      const SessionOptions& options) {
  return detail::no_throw<Result<Session>>("the session", [&]() -> Result<Session> {
    const std::shared_ptr<DeviceImpl> impl = device.impl().shared_from_this();
    CALDERA_TRY_ASSIGN(Plan plan,
                       make_plan(capabilities, device.info().name, graph, weights, options));
    CALDERA_TRY(check_memory(device, plan, /*with_weights=*/true));
    auto program = std::make_shared<Program>(Program{device, options, std::move(plan)});
    for (const Dispatch& dispatch : program->plan.dispatches) {
      CALDERA_TRY_ASSIGN(const Pipeline* pipeline,
                         impl->pipelines().get({dispatch.shader, dispatch.constants,
                                                dispatch.required_subgroup_size,
                                                /*partial=*/dispatch.parts > 1}));
      program->pipelines.push_back(pipeline);
    }
    CALDERA_TRY(upload_weights(impl, *program));
    CALDERA_TRY_ASSIGN(auto session, SessionImpl::create(std::move(program)));
    return Session(std::move(session));
  });
}

Result<std::unique_ptr<SessionImpl>> SessionImpl::create(std::shared_ptr<const Program> program) {
  const std::shared_ptr<DeviceImpl> device = program->device.impl().shared_from_this();
  const Plan& plan = program->plan;
  auto session = std::make_unique<SessionImpl>();
  CALDERA_TRY_ASSIGN(session->arena_,
                     Buffer::create(device, std::max(plan.memory.bytes, kSmallestBuffer),
                                    MemoryKind::kDevice, "the activations"));
  CALDERA_TRY_ASSIGN(session->input_,
                     Buffer::create(device, std::max(plan.input_bytes, kSmallestBuffer),
                                    MemoryKind::kUpload, "the inputs"));
  CALDERA_TRY_ASSIGN(session->output_,
                     Buffer::create(device, std::max(plan.output_bytes, kSmallestBuffer),
                                    MemoryKind::kReadback, "the outputs"));
  session->program_ = std::move(program);
  CALDERA_TRY(session->record());
  return session;
}

BufferRange SessionImpl::resolve(const Binding& binding) const {
  const Plan& plan = program_->plan;
  switch (binding.kind) {
    case BindingKind::kActivation:
      return {&arena_, plan.arena_offset(static_cast<ValueId>(binding.index)) + binding.offset,
              binding.size};
    case BindingKind::kWeight:
      return {&program_->weights, plan.weights[binding.index].offset + binding.offset,
              binding.size};
    case BindingKind::kInput:
      return {&input_, plan.input_offsets[binding.index] + binding.offset, binding.size};
    case BindingKind::kOutput:
      break;
  }
  return {&output_, plan.output_offsets[binding.index] + binding.offset, binding.size};
}

Status SessionImpl::record() {
  CALDERA_TRY_ASSIGN(Recorder recorder,
                     Recorder::create(program_->device.impl().shared_from_this()));
  const Plan& plan = program_->plan;
  const int64_t budget = program_->options.submit_work;
  int64_t work = 0;  // Of the command buffer being recorded.
  const bool timed = program_->options.profile;
  if (timed) {
    CALDERA_TRY(recorder.enable_timestamps(static_cast<uint32_t>(plan.dispatches.size()) + 1));
    recorder.timestamp();
  }
  std::vector<BufferRange> ranges;
  for (size_t i = 0; i < plan.dispatches.size(); ++i) {
    const Dispatch& dispatch = plan.dispatches[i];
    ranges.clear();
    for (const Binding& binding : dispatch.bindings) ranges.push_back(resolve(binding));
    const auto [columns, rows, depth] = dispatch.workgroups;
    const int64_t part_work = dispatch.multiply_adds / dispatch.parts;
    for (uint32_t part = 0; part < dispatch.parts; ++part) {
      if (work > 0 && part_work > budget - work) {
        CALDERA_TRY(recorder.split());
        work = 0;
      }
      work += part_work;
      const auto row = [&](uint32_t p) {
        return static_cast<uint32_t>(uint64_t{rows} * p / dispatch.parts);
      };
      CALDERA_TRY(recorder.dispatch({program_->pipelines[i],
                                     ranges,
                                     std::span(dispatch.push.bytes).first(dispatch.push.size),
                                     {columns, row(part + 1) - row(part), depth},
                                     row(part)}));
    }
    if (timed) recorder.timestamp();
  }
  CALDERA_TRY_ASSIGN(commands_, std::move(recorder).finish());
  return {};
}

Status SessionImpl::run(std::span<const std::span<const float>> inputs,
                        std::span<const std::span<float>> outputs) {
  const Plan& plan = program_->plan;
  const auto misfit = [&](const char* what, ValueId value, size_t got) {
    const Value& v = plan.graph.value(value);
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the {} '{}' has the shape {}, {} elements, but {} were given", what,
                             v.name, to_string(v.shape), element_count(v.shape), got)};
  };
  if (inputs.size() != plan.graph.inputs.size() || outputs.size() != plan.graph.outputs.size()) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the graph has {} inputs and {} outputs, but {} and {} were given",
                             plan.graph.inputs.size(), plan.graph.outputs.size(), inputs.size(),
                             outputs.size())};
  }
  const auto fits = [&](ValueId value, size_t size) {
    return element_count(plan.graph.value(value).shape) == static_cast<int64_t>(size);
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!fits(plan.graph.inputs[i], inputs[i].size())) {
      return misfit("input", plan.graph.inputs[i], inputs[i].size());
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!fits(plan.graph.outputs[i], outputs[i].size())) {
      return misfit("output", plan.graph.outputs[i], outputs[i].size());
    }
  }

  for (size_t i = 0; i < inputs.size(); ++i) {
    std::memcpy(input_.mapped().data() + plan.input_offsets[i], inputs[i].data(),
                inputs[i].size_bytes());
  }
  CALDERA_TRY(commands_.run());
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::memcpy(outputs[i].data(), output_.mapped().data() + plan.output_offsets[i],
                outputs[i].size_bytes());
  }
  return {};
}

Result<std::vector<float>> SessionImpl::read_padded(ValueId activation) const {
  const Plan& plan = program_->plan;
  const auto index = static_cast<uint32_t>(activation);
  if (!program_->options.keep_activations || index >= plan.graph.values.size() ||
      plan.memory.offsets.size() <= index) {
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
  const ImageShape shape(value.shape);
  CALDERA_TRY_ASSIGN(const Buffer copy, Buffer::create(device, shape.bytes(), MemoryKind::kReadback,
                                                       "a copy of an activation"));
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device));
  recorder.copy(arena_, plan.arena_offset(activation), copy, 0, shape.bytes());
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  CALDERA_TRY(commands.run());
  const auto* values = reinterpret_cast<const float*>(copy.mapped().data());
  return std::vector<float>(values, values + shape.bytes() / sizeof(float));
}

Result<std::vector<float>> SessionImpl::read(ValueId activation) const {
  CALDERA_TRY_ASSIGN(const std::vector<float> from, read_padded(activation));
  const Value& value = program_->plan.graph.value(activation);
  const ImageShape shape(value.shape);
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

Status SessionImpl::poison() {
  constexpr uint32_t kNan = 0x7fc00000u;
  CALDERA_TRY_ASSIGN(Recorder recorder,
                     Recorder::create(program_->device.impl().shared_from_this()));
  recorder.fill(arena_, kNan);
  recorder.fill(output_, kNan);
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  return commands.run();
}

Result<std::vector<DispatchTime>> SessionImpl::timeline() const {
  CALDERA_TRY_ASSIGN(const std::vector<double> times, commands_.timestamps());
  if (times.empty()) {
    return Error{ErrorCode::kInvalidInput, "a timeline needs a session made with profile"};
  }
  std::vector<DispatchTime> timeline;
  const std::vector<Dispatch>& dispatches = program_->plan.dispatches;
  for (size_t i = 0; i < dispatches.size(); ++i) {
    uint64_t bytes = 0;
    for (const Binding& binding : dispatches[i].bindings) bytes += binding.size;
    timeline.push_back({dispatches[i].node, shader_name(dispatches[i].shader), times[i],
                        times[i + 1] - times[i], dispatches[i].multiply_adds, bytes});
  }
  return timeline;
}

SessionStats SessionImpl::stats() const {
  const std::set<const Pipeline*> pipelines(program_->pipelines.begin(), program_->pipelines.end());
  return {.weights_bytes = program_->weights.size(),
          .arena_bytes = program_->plan.memory.bytes,
          .arena_lower_bound = program_->plan.memory.lower_bound,
          .staging_bytes = input_.size() + output_.size(),
          .dispatches = commands_.dispatches(),
          .barriers = commands_.barriers(),
          .pipelines = static_cast<uint32_t>(pipelines.size()),
          .submits = commands_.submits()};
}

Result<Session> Session::create(const Device& device, const Graph& graph, const Weights& weights,
                                const SessionOptions& options) {
  return SessionAccess::create(device, device.impl().capabilities(), graph, weights, options);
}

Session::Session(std::unique_ptr<SessionImpl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::fork() const {
  return detail::no_throw<Result<Session>>("the session", [&]() -> Result<Session> {
    CALDERA_TRY(check_memory(device(), impl_->program()->plan, /*with_weights=*/false));
    CALDERA_TRY_ASSIGN(auto impl, SessionImpl::create(impl_->program()));
    return Session(std::move(impl));
  });
}

Status Session::run(std::span<const float> input, std::span<float> output) {
  return run(std::span(&input, 1), std::span(&output, 1));
}

Status Session::run(std::span<const std::span<const float>> inputs,
                    std::span<const std::span<float>> outputs) {
  return impl_->run(inputs, outputs);
}

Result<std::vector<float>> Session::read(ValueId activation) const {
  return detail::no_throw<Result<std::vector<float>>>(
      "reading an activation",
      [&]() -> Result<std::vector<float>> { return impl_->read(activation); });
}

Result<std::vector<DispatchTime>> Session::timeline() const {
  return impl_->timeline();
}

const Graph& Session::graph() const {
  return impl_->program()->plan.graph;
}
const Weights& Session::weights() const {
  return impl_->program()->plan.parameters;
}
const Device& Session::device() const {
  return impl_->program()->device;
}
SessionStats Session::stats() const {
  return impl_->stats();
}

std::vector<std::string> Session::kernels() const {
  std::vector<std::string> names;
  for (const KernelVariant* kernel : impl_->program()->plan.kernels) {
    names.emplace_back(kernel->emit ? kernel->name : std::string_view());
  }
  return names;
}

Status poison_memory(Session& session) {
  return SessionAccess::impl(session).poison();
}

Result<std::vector<float>> read_padded(Session& session, ValueId activation) {
  return SessionAccess::impl(session).read_padded(activation);
}

Result<Session> create_session_within(const Capabilities& capabilities, const Device& device,
                                      const Graph& graph, const Weights& weights,
                                      const SessionOptions& options) {
  return SessionAccess::create(device, capabilities, graph, weights, options);
}

}  // namespace caldera
