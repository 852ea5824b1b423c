// Sessions: from a plan to recorded commands, and running them.
#include "caldera/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <future>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "caldera/tuner.h"

#include "graph/emitter.h"
#include "graph/layer_memory.h"
#include "graph/pack_weights.h"
#include "graph/session_impl.h"
#include "graph/submits.h"
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
    if (!weight.table.empty()) {
      items.push_back({weight.offset, weight.bytes, [&](std::span<std::byte> to) {
                         std::ranges::fill(to, std::byte{0});
                         std::memcpy(to.data(), weight.table.data(),
                                     weight.table.size() * sizeof(uint32_t));
                       }});
      continue;
    }
    const Value& value = plan.graph.value(weight.value);
    const Value& source = plan.graph.value(weight.source);
    const Tensor& tensor = plan.parameters.find(source.name)->second;
    const auto found = plan.scales.find(source.name);
    const auto scales =
        found == plan.scales.end() ? std::span<const double>() : std::span(found->second);
    items.push_back({weight.offset, weight.bytes, [&, scales](std::span<std::byte> to) {
                       std::vector<float> transposed;
                       if (weight.transpose) {
                         transposed =
                             transpose_weight(tensor.floats(), source.shape, *weight.transpose);
                       }
                       pack_weight(transposed.empty() ? tensor.floats() : transposed, value.shape,
                                   scales, weight.layout, plan.precision, to);
                     }});
  }
  return upload(device, program.weights, items);
}

// Pipelines are compiled while the weights go up.
Status load(const std::shared_ptr<DeviceImpl>& device, Program& program) {
  std::vector<PipelineKey> keys;
  for (const Dispatch& dispatch : program.plan.dispatches) {
    keys.push_back({dispatch.shader, dispatch.constants, dispatch.required_subgroup_size});
  }
  // By a thread where there is one to be had, else when it is asked for.
  auto pipelines = std::async(std::launch::async | std::launch::deferred,
                              [&] { return device->pipelines().get_all(keys); });
  const Status uploaded = upload_weights(device, program);
  CALDERA_TRY_ASSIGN(program.pipelines, pipelines.get());
  return uploaded;
}

}  // namespace

// Before anything is allocated: says what batch would fit. Host-visible staging is not counted,
// which on a GPU of its own memory lies elsewhere.
Status check_memory(const Device& device, const Plan& plan, bool with_weights) {
  const uint64_t available = device.impl().available_memory();
  const uint64_t largest = device.impl().capabilities().max_allocation_size;
  const uint64_t weights = with_weights ? plan.weights_bytes : 0;
  const uint64_t arena = plan.memory.bytes + plan.states.bytes;
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

struct SessionAccess {
  static Result<Session> create(const Device& device, const Capabilities& capabilities,
                                const Graph& graph, const Weights& weights,
                                const SessionOptions& options, const Tuning& tuning);
  static SessionImpl& impl(Session& session) { return *session.impl_; }
};

Result<Session> SessionAccess::create(const Device& device, const Capabilities& capabilities,
                                      const Graph& graph, const Weights& weights,
                                      const SessionOptions& options, const Tuning& tuning) {
  return detail::no_throw<Result<Session>>("the session", [&]() -> Result<Session> {
    const std::shared_ptr<DeviceImpl> impl = device.impl().shared_from_this();
    CALDERA_TRY_ASSIGN(
        Plan plan, make_plan(capabilities, device.info().name, graph, weights, options, tuning));
    CALDERA_TRY(check_memory(device, plan, /*with_weights=*/true));
    auto program = std::make_shared<Program>(Program{device, options, std::move(plan)});
    CALDERA_TRY(load(impl, *program));
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
  CALDERA_TRY_ASSIGN(session->states_,
                     Buffer::create(device, std::max(plan.states.bytes, kSmallestBuffer),
                                    MemoryKind::kDevice, "what training changes"));
  session->frames_.resize(static_cast<size_t>(program->options.frames_in_flight));
  session->program_ = std::move(program);
  for (Frame& frame : session->frames_) {
    CALDERA_TRY_ASSIGN(frame.input,
                       Buffer::create(device, std::max(plan.input_bytes, kSmallestBuffer),
                                      MemoryKind::kUpload, "the inputs"));
    CALDERA_TRY_ASSIGN(frame.output,
                       Buffer::create(device, std::max(plan.output_bytes, kSmallestBuffer),
                                      MemoryKind::kReadback, "the outputs"));
    CALDERA_TRY(session->record(frame));
  }
  if (plan.states.bytes > 0) {
    CALDERA_TRY(session->clear_states());
    CALDERA_TRY(session->set_states(plan.parameters));
  }
  return session;
}

// The device is done with a frame before its memory goes.
SessionImpl::~SessionImpl() {
  for (Frame& frame : frames_) {
    if (frame.under_way) (void)frame.commands.wait();
  }
}

BufferRange SessionImpl::resolve(const Binding& binding, const Frame& frame) const {
  const Plan& plan = program_->plan;
  switch (binding.kind) {
    case BindingKind::kActivation:
      return {&arena_, plan.arena_offset(static_cast<ValueId>(binding.index)) + binding.offset,
              binding.size};
    case BindingKind::kWorkspace:
      return {&arena_, plan.workspace_offset(binding.index) + binding.offset, binding.size};
    case BindingKind::kWeight:
      return {&program_->weights, plan.weights[binding.index].offset + binding.offset,
              binding.size};
    case BindingKind::kState:
      return {&states_, plan.states.offset(static_cast<ValueId>(binding.index)) + binding.offset,
              binding.size};
    case BindingKind::kInput:
      return {&frame.input, plan.input_offsets[binding.index] + binding.offset, binding.size};
    case BindingKind::kOutput:
      break;
  }
  return {&frame.output, plan.output_offsets[binding.index] + binding.offset, binding.size};
}

// With profile, a timestamp after each dispatch; else two a submit, for keep_to_budget().
Status SessionImpl::record(Frame& frame) {
  DeviceImpl& device = program_->device.impl();
  const Capabilities& capabilities = device.capabilities();
  const std::vector<Dispatch>& dispatches = program_->plan.dispatches;
  const std::vector<Portion> portions =
      cut_into_submits(dispatches, program_->options.submit_seconds / device.pace(),
                       capabilities.max_workgroup_count[1]);
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device.shared_from_this()));
  const bool profiled = program_->options.profile;
  const bool timed = profiled || capabilities.timestamp_bits > 0;
  std::vector<double> submit_work(1, 0.0);
  const auto submits = 1 + std::count_if(portions.begin(), portions.end(),
                                         [](const Portion& p) { return p.opens_submit; });
  if (timed) {
    const size_t most = profiled ? dispatches.size() + 1 : 2 * static_cast<size_t>(submits);
    CALDERA_TRY(recorder.enable_timestamps(static_cast<uint32_t>(most)));
    frame.times.reserve(most);
    recorder.timestamp();
  }
  std::vector<BufferRange> ranges;
  for (size_t i = 0; i < portions.size(); ++i) {
    const Portion& portion = portions[i];
    const Dispatch& dispatch = dispatches[portion.dispatch];
    if (portion.opens_submit) {
      if (timed && !profiled) recorder.timestamp();
      CALDERA_TRY(recorder.split());
      if (timed && !profiled) recorder.timestamp();
      submit_work.push_back(0);
    }
    ranges.clear();
    for (const Binding& binding : dispatch.bindings) ranges.push_back(resolve(binding, frame));
    CALDERA_TRY(recorder.dispatch({program_->pipelines[portion.dispatch], ranges,
                                   std::span(dispatch.push.bytes).first(dispatch.push.size),
                                   portion.workgroups, portion.first_row}));
    const double share = static_cast<double>(portion.workgroups[1]) * portion.workgroups[0] /
                         (static_cast<double>(dispatch.workgroups[1]) * dispatch.workgroups[0]);
    submit_work.back() += work_of(dispatch) * share;
    const bool last = i + 1 == portions.size() || portions[i + 1].dispatch != portion.dispatch;
    if (profiled && last) recorder.timestamp();
  }
  if (timed && !profiled) recorder.timestamp();
  CALDERA_TRY_ASSIGN(frame.commands, std::move(recorder).finish());
  frame.submit_work = std::move(submit_work);
  frame.seconds.assign(frame.submit_work.size(), 0);
  return {};
}

// Where the times cannot be read, or cutting anew fails, the frame stays as it was.
void SessionImpl::keep_to_budget(Frame& frame) {
  if (frame.recuts_left == 0 || program_->options.profile) return;
  if (!frame.commands.timestamps(frame.times).ok() || frame.times.empty()) return;
  const std::vector<double>& times = frame.times;
  const double budget = program_->options.submit_seconds;
  double longest = 0;
  double total = 0;
  double pace = 0;  // Of the slowest submit: layers differ in how fast their work is done.
  const double most_work = *std::ranges::max_element(frame.submit_work);
  for (size_t i = 0; i < frame.submit_work.size(); ++i) {
    const double now = times[2 * i + 1] - times[2 * i];
    const double seconds = std::min(std::exchange(frame.seconds[i], now), now);
    longest = std::max(longest, seconds);
    total += seconds;
    // One of little work tells what a submit costs by itself.
    if (frame.submit_work[i] < most_work / 10) continue;
    pace = std::max(pace, seconds / frame.submit_work[i]);
  }
  constexpr double kSlack = 1.25;  // Between a measurement and the next run.
  const bool too_long = longest > budget;
  const bool too_many =
      static_cast<double>(frame.submit_work.size()) > 1 + 4 * std::ceil(kSlack * total / budget);
  if ((!too_long && !too_many) || !(pace > 0)) return;
  --frame.recuts_left;
  program_->device.impl().set_pace(pace * kSlack);
  (void)detail::no_throw<Status>("cutting commands anew", [&] { return record(frame); });
}

namespace {

Error misfit(const Plan& plan, std::string_view what, ValueId value, size_t got) {
  const Value& v = plan.graph.value(value);
  return {ErrorCode::kInvalidInput,
          fmt::format("the {} '{}' has the shape {}, {} elements, but {} were given", what, v.name,
                      to_string(v.shape), element_count(v.shape), got)};
}

template <typename Span>
Status check(const Plan& plan, std::string_view what, const std::vector<ValueId>& values,
             std::span<const Span> spans) {
  if (spans.size() != values.size()) {
    return Error{ErrorCode::kInvalidInput, fmt::format("the graph has {} {}s, but {} were given",
                                                       values.size(), what, spans.size())};
  }
  for (size_t i = 0; i < spans.size(); ++i) {
    const Shape& shape = plan.graph.value(values[i]).shape;
    if (element_count(shape) != static_cast<int64_t>(spans[i].size())) {
      return misfit(plan, what, values[i], spans[i].size());
    }
  }
  return {};
}

}  // namespace

Status SessionImpl::check_spans(std::span<const std::span<const float>> inputs) const {
  return check(program_->plan, "input", program_->plan.graph.inputs, inputs);
}

Status SessionImpl::check_spans(std::span<const std::span<float>> outputs) const {
  return check(program_->plan, "output", program_->plan.graph.outputs, outputs);
}

Status SessionImpl::submit(std::span<const std::span<const float>> inputs) {
  CALDERA_TRY(check_spans(inputs));
  Frame& frame = frames_[next_submit_];
  if (frame.under_way) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} runs are under way, as many as the session was made for "
                             "(SessionOptions::frames_in_flight): wait() first",
                             frames_.size())};
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::memcpy(frame.input.mapped().data() + program_->plan.input_offsets[i], inputs[i].data(),
                inputs[i].size_bytes());
  }
  CALDERA_TRY(frame.commands.submit());
  frame.under_way = true;
  next_submit_ = (next_submit_ + 1) % frames_.size();
  return {};
}

Status SessionImpl::run(std::span<const std::span<const float>> inputs,
                        std::span<const std::span<float>> outputs) {
  CALDERA_TRY(check_spans(outputs));
  if (frames_[next_wait_].under_way) {
    return Error{ErrorCode::kInvalidInput, "runs are under way: wait() for them first"};
  }
  CALDERA_TRY(submit(inputs));
  return wait(outputs);
}

Status SessionImpl::wait(std::span<const std::span<float>> outputs) {
  CALDERA_TRY(check_spans(outputs));
  Frame& frame = frames_[next_wait_];
  if (!frame.under_way) {
    return Error{ErrorCode::kInvalidInput, "no run is under way to wait for: submit() first"};
  }
  frame.under_way = false;
  next_wait_ = (next_wait_ + 1) % frames_.size();
  CALDERA_TRY(frame.commands.wait());
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::memcpy(outputs[i].data(), frame.output.mapped().data() + program_->plan.output_offsets[i],
                outputs[i].size_bytes());
  }
  frame.has_run = true;
  keep_to_budget(frame);
  return {};
}

Result<std::vector<DispatchTime>> SessionImpl::timeline() const {
  if (!program_->options.profile) {
    return Error{ErrorCode::kInvalidInput, "a timeline needs a session made with profile"};
  }
  const Frame& frame = frames_[(next_wait_ + frames_.size() - 1) % frames_.size()];
  if (!frame.has_run || frame.under_way) {
    return Error{ErrorCode::kInvalidInput, "a timeline needs a run that has ended"};
  }
  std::vector<double> times;
  CALDERA_TRY(frame.commands.timestamps(times));
  std::vector<DispatchTime> timeline;
  const std::vector<Dispatch>& dispatches = program_->plan.dispatches;
  for (size_t i = 0; i < dispatches.size(); ++i) {
    timeline.push_back({dispatches[i].node, shader_name(dispatches[i].shader), times[i],
                        times[i + 1] - times[i], dispatches[i].multiply_adds,
                        dispatches[i].bytes()});
  }
  return timeline;
}

SessionStats SessionImpl::stats() const {
  const std::set<const Pipeline*> pipelines(program_->pipelines.begin(), program_->pipelines.end());
  return {.weights_bytes = program_->weights.size(),
          .states_bytes = program_->plan.states.bytes,
          .arena_bytes = program_->plan.memory.bytes,
          .arena_lower_bound = program_->plan.memory.lower_bound,
          .staging_bytes =
              frames_.size() * (frames_.front().input.size() + frames_.front().output.size()),
          .dispatches = frames_.front().commands.dispatches(),
          .barriers = frames_.front().commands.barriers(),
          .pipelines = static_cast<uint32_t>(pipelines.size()),
          .submits = frames_.front().commands.submits()};
}

Result<Session> Session::create(const Device& device, const Graph& graph, const Weights& weights,
                                const SessionOptions& options) {
  if (options.tune) {
    TuneOptions missing{.session = options, .only_missing = true, .on_layer = nullptr};
    missing.session.tune = false;
    CALDERA_TRY_ASSIGN(const TuneReport report, ::caldera::tune(device, graph, weights, missing));
    if (options.on_tuned && !report.layers.empty()) options.on_tuned(report);
  }
  return create_session(device, graph, weights, options, device.impl().tuning().read());
}

Result<Session> create_session(const Device& device, const Graph& graph, const Weights& weights,
                               const SessionOptions& options, const Tuning& tuning) {
  return SessionAccess::create(device, device.impl().capabilities(), graph, weights, options,
                               tuning);
}

Session::Session(std::unique_ptr<SessionImpl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::fork() const {
  return detail::no_throw<Result<Session>>("the session", [&]() -> Result<Session> {
    if (impl_->program()->plan.states.bytes > 0) {
      return Error{ErrorCode::kInvalidInput, "a session that trains cannot be forked"};
    }
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
  return detail::no_throw<Status>("a run", [&] { return impl_->run(inputs, outputs); });
}

Status Session::submit(std::span<const std::span<const float>> inputs) {
  return detail::no_throw<Status>("a run", [&] { return impl_->submit(inputs); });
}

Status Session::wait(std::span<const std::span<float>> outputs) {
  return detail::no_throw<Status>("a run", [&] { return impl_->wait(outputs); });
}

Result<std::vector<float>> Session::read(ValueId activation) const {
  return detail::no_throw<Result<std::vector<float>>>(
      "reading an activation",
      [&]() -> Result<std::vector<float>> { return impl_->read(activation); });
}

Result<Weights> Session::states() const {
  return detail::no_throw<Result<Weights>>("reading states", [&] { return impl_->states(); });
}

Status Session::set_states(const Weights& states) {
  return detail::no_throw<Status>("setting states", [&] { return impl_->set_states(states); });
}

Result<std::vector<DispatchTime>> Session::timeline() const {
  return detail::no_throw<Result<std::vector<DispatchTime>>>("the timeline",
                                                             [&] { return impl_->timeline(); });
}

const Graph& Session::graph() const {
  return impl_->program()->plan.graph;
}
Result<Weights> Session::weights() const {
  const Plan& plan = impl_->program()->plan;
  return detail::no_throw<Result<Weights>>("the weights", [&]() -> Result<Weights> {
    return apply_scales(plan.parameters, plan.scales);
  });
}
Precision Session::precision() const {
  return impl_->program()->plan.precision;
}
const Device& Session::device() const {
  return impl_->program()->device;
}
SessionStats Session::stats() const {
  return impl_->stats();
}

std::vector<LayerMemory> Session::memory() const {
  return layer_memory(impl_->program()->plan);
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
  return SessionAccess::create(device, capabilities, graph, weights, options,
                               device.impl().tuning().read());
}

}  // namespace caldera
