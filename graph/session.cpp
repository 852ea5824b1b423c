// Sessions: from a plan to recorded commands, and running them.
#include "caldera/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <future>
#include <map>
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

Result<std::shared_ptr<const Blocks>> make_shared_blocks(const std::shared_ptr<DeviceImpl>& device,
                                                         std::span<const uint64_t> bytes,
                                                         std::string_view what) {
  CALDERA_TRY_ASSIGN(Blocks blocks, Blocks::create(device, bytes, what));
  return std::make_shared<const Blocks>(std::move(blocks));
}

}  // namespace

Status upload_weights(const Program& program) {
  const Plan& plan = program.plan;
  std::vector<UploadItem> items;
  for (const PackedWeight& weight : plan.weights) {
    if (!weight.table.empty()) {
      items.push_back({weight.place, weight.bytes, [&](std::span<std::byte> to) {
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
    items.push_back({weight.place, weight.bytes, [&, scales](std::span<std::byte> to) {
                       std::vector<float> transposed;
                       if (weight.transpose) {
                         transposed =
                             transpose_weight(tensor.floats(), source.shape, *weight.transpose);
                       }
                       pack_weight(transposed.empty() ? tensor.floats() : transposed, value.shape,
                                   scales, weight.layout, weight.storage, to);
                     }});
  }
  return upload(program.device.impl().shared_from_this(), program.weights, items);
}

namespace {

// Pipelines are compiled while the weights go up.
Status load(const std::shared_ptr<DeviceImpl>& device, Program& program) {
  std::vector<PipelineKey> keys;
  for (const Dispatch& dispatch : program.plan.dispatches) {
    keys.push_back({dispatch.shader, dispatch.constants, dispatch.required_subgroup_size});
  }
  // By a thread where there is one to be had, else when it is asked for.
  auto pipelines = std::async(std::launch::async | std::launch::deferred,
                              [&] { return device->pipelines().get_all(keys); });
  const Status uploaded = [&]() -> Status {
    CALDERA_TRY_ASSIGN(program.weights,
                       Blocks::create(device, program.plan.weights_blocks, "the weights"));
    return upload_weights(program);
  }();
  CALDERA_TRY_ASSIGN(program.pipelines, pipelines.get());
  return uploaded;
}

}  // namespace

MemoryNeeds needs_of(const Plan& plan) {
  return {.fixed = plan.weights_bytes + plan.states.bytes, .activations = plan.memory.bytes};
}

// Before anything is allocated: says what batch would fit. Host-visible staging is not counted,
// which on a GPU of its own memory lies elsewhere.
Status check_memory(const Device& device, const Plan& plan, const MemoryNeeds& needs) {
  const auto largest = [](const std::vector<uint64_t>& blocks) {
    return blocks.empty() ? 0 : *std::ranges::max_element(blocks);
  };
  const uint64_t available = device.impl().available_memory();
  // Only a value that is larger by itself lies in a block of more.
  const uint64_t limit = device.impl().capabilities().max_block_bytes();
  const uint64_t fixed = needs.fixed;
  const uint64_t fixed_piece = std::max(largest(plan.states.blocks), largest(plan.weights_blocks));
  const uint64_t arena = needs.activations;
  const uint64_t piece = largest(plan.memory.blocks);
  const uint64_t others = fixed + needs.more;
  if (others + arena <= available && std::max(fixed_piece, piece) <= limit) return {};

  const auto batch = static_cast<uint64_t>(plan.graph.value(plan.graph.inputs[0]).shape[0]);
  const auto images = [&](uint64_t room, uint64_t bytes) {
    return room / std::max<uint64_t>(1, bytes / batch);
  };
  std::string advice = "not even one image would fit: choose a smaller image or another device";
  if (fixed > available || fixed_piece > limit) {
    advice = "its weights alone are too large: choose another device, or a narrower net";
  } else {
    uint64_t fit = images(available - fixed, arena);
    if (piece > limit) fit = std::min(fit, images(limit, piece));
    if (fit > 0) advice = fmt::format("a batch of about {} would fit", fit);
  }
  return Error{
      ErrorCode::kOutOfMemory,
      fmt::format("a batch of {} takes {} MiB for {} and {} MiB for activations, {} MiB in "
                  "its largest piece, and {} has {} MiB free, {} MiB at most in one "
                  "piece: {}",
                  batch, fixed >> 20,
                  plan.states.bytes > 0 ? "parameters, gradients and moments" : "weights",
                  arena >> 20, std::max(fixed_piece, piece) >> 20, device.info().name,
                  available >> 20, limit >> 20, advice)};
}

namespace {

// Whether both have the same states at the same places, whatever else they have.
bool same_states(const Plan& a, const Plan& b) {
  const auto places_of = [](const Plan& plan) {
    std::map<std::string_view, std::pair<Place, Shape>> places;
    for (size_t i = 0; i < plan.graph.values.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const Value& value = plan.graph.value(id);
      if (plan.states.holds(id))
        places.emplace(value.name, std::pair(plan.states.place(id), value.shape));
    }
    return places;
  };
  return places_of(a) == places_of(b);
}

Result<Session> make_session(const Device& device, const Capabilities& capabilities,
                             const Graph& graph, const Weights& weights,
                             const SessionOptions& options, const Tuning& tuning,
                             const Session* beside) {
  return detail::no_throw<Result<Session>>("the session", [&]() -> Result<Session> {
    const std::shared_ptr<DeviceImpl> impl = device.impl().shared_from_this();
    CALDERA_TRY_ASSIGN(
        Plan plan, make_plan(capabilities, device.info().name, graph, weights, options, tuning));
    const SessionImpl* other = beside ? &SessionAccess::impl(*beside) : nullptr;
    MemoryNeeds needs = needs_of(plan);
    if (other) needs = {.fixed = plan.weights_bytes, .activations = other->bytes_beside(plan)};
    CALDERA_TRY(check_memory(device, plan, needs));
    auto program = std::make_shared<Program>(Program{device, options, graph, std::move(plan)});
    CALDERA_TRY(load(impl, *program));
    CALDERA_TRY_ASSIGN(auto session, SessionImpl::create(std::move(program), other));
    return SessionAccess::wrap(std::move(session));
  });
}

}  // namespace

Result<std::unique_ptr<SessionImpl>> SessionImpl::create(std::shared_ptr<Program> program,
                                                         const SessionImpl* beside) {
  const std::shared_ptr<DeviceImpl> device = program->device.impl().shared_from_this();
  const Plan& plan = program->plan;
  auto session = std::make_unique<SessionImpl>();
  if (beside) {
    if (!same_states(plan, beside->program_->plan)) {
      return Error{ErrorCode::kInvalidInput,
                   "sessions share states of the same names and shapes alone"};
    }
    session->states_ = beside->states_;
    if (beside->bytes_beside(plan) == 0) session->arena_ = beside->arena_;
  }
  if (!session->arena_) {
    CALDERA_TRY_ASSIGN(session->arena_,
                       make_shared_blocks(device, plan.memory.blocks, "the activations"));
  }
  if (!session->states_) {
    CALDERA_TRY_ASSIGN(session->states_,
                       make_shared_blocks(device, plan.states.blocks, "what training changes"));
  }
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
  if (plan.states.bytes > 0 && !beside) {
    CALDERA_TRY(session->clear_states());
    CALDERA_TRY(session->set_states(plan.parameters));
  }
  return session;
}

uint64_t SessionImpl::bytes_beside(const Plan& plan) const {
  return fits(plan.memory, program_->plan.memory.blocks) ? 0 : plan.memory.bytes;
}

// The device is done with a frame before its memory goes.
SessionImpl::~SessionImpl() {
  for (Frame& frame : frames_) {
    if (frame.under_way) (void)frame.commands.wait();
    if (frame.begun) (void)frame.commands.drain();
  }
}

BufferRange SessionImpl::resolve(const Binding& binding, const Frame& frame) const {
  const Plan& plan = program_->plan;
  const auto part_of = [&](const Blocks& blocks, Place place) {
    place.offset += binding.offset;
    return blocks.at(place, binding.size);
  };
  switch (binding.kind) {
    case BindingKind::kActivation:
      return part_of(*arena_, plan.arena_place(static_cast<ValueId>(binding.index)));
    case BindingKind::kWorkspace:
      return part_of(*arena_, plan.workspace_place(binding.index));
    case BindingKind::kWeight:
      return part_of(program_->weights, plan.weights[binding.index].place);
    case BindingKind::kState:
      return part_of(*states_, plan.states.place(static_cast<ValueId>(binding.index)));
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
  std::vector<Portion> portions =
      cut_into_submits(dispatches, program_->options.submit_seconds / device.pace(),
                       capabilities.max_workgroup_count[1]);
  // What brings in images of bytes is recorded for each memory of such: pixel_commands().
  std::erase_if(portions,
                [&](const Portion& p) { return p.dispatch < program_->plan.pixel_dispatches; });
  if (!portions.empty()) portions.front().opens_submit = false;
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device.shared_from_this()));
  const bool profiled = program_->options.profile;
  const bool timed = profiled || capabilities.timestamp_bits > 0;
  std::vector<double> submit_work(1, 0.0);
  // The first portion of what begin() leaves to commit() opens a submit too.
  const auto begins_rest = [&](size_t i) {
    return i > 0 && portions[i].dispatch == program_->plan.forward_dispatches &&
           portions[i - 1].dispatch != portions[i].dispatch;
  };
  uint32_t forward_submits = 0;
  int64_t submits = 1;
  for (size_t i = 0; i < portions.size(); ++i) {
    if (begins_rest(i)) forward_submits = static_cast<uint32_t>(submits);
    submits += portions[i].opens_submit || begins_rest(i);
  }
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
    if (portion.opens_submit || begins_rest(i)) {
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
  frame.forward_submits = forward_submits;
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
  return {.weights_bytes = program_->plan.weights_bytes,
          .states_bytes = program_->plan.states.bytes,
          .arena_bytes = program_->plan.memory.bytes,
          .arena_lower_bound = program_->plan.memory.lower_bound,
          .weights_blocks = program_->plan.weights_blocks,
          .states_blocks = program_->plan.states.blocks,
          .arena_blocks = program_->plan.memory.blocks,
          .staging_bytes =
              frames_.size() * (frames_.front().input.size() + frames_.front().output.size()),
          .dispatches = frames_.front().commands.dispatches(),
          .barriers = frames_.front().commands.barriers(),
          .pipelines = static_cast<uint32_t>(pipelines.size()),
          .submits = frames_.front().commands.submits()};
}

namespace {

Status tune_missing(const Device& device, const Graph& graph, const Weights& weights,
                    const SessionOptions& options) {
  if (!options.tune) return {};
  TuneOptions missing{.session = options, .only_missing = true, .on_layer = nullptr};
  missing.session.tune = false;
  CALDERA_TRY_ASSIGN(const TuneReport report, ::caldera::tune(device, graph, weights, missing));
  if (options.on_tuned && !report.layers.empty()) options.on_tuned(report);
  return {};
}

}  // namespace

Result<Session> Session::create(const Device& device, const Graph& graph, const Weights& weights,
                                const SessionOptions& options) {
  CALDERA_TRY(tune_missing(device, graph, weights, options));
  return create_session(device, graph, weights, options, device.impl().tuning().read());
}

Result<Session> create_session(const Device& device, const Graph& graph, const Weights& weights,
                               const SessionOptions& options, const Tuning& tuning) {
  return make_session(device, device.impl().capabilities(), graph, weights, options, tuning,
                      nullptr);
}

Result<Session> create_session_beside(const Session& beside, const Graph& graph,
                                      const Weights& weights, const SessionOptions& options) {
  const Device& device = beside.device();
  CALDERA_TRY(tune_missing(device, graph, weights, options));
  return make_session(device, device.impl().capabilities(), graph, weights, options,
                      device.impl().tuning().read(), &beside);
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
    MemoryNeeds needs = needs_of(impl_->program()->plan);
    needs.fixed = 0;  // Shared.
    CALDERA_TRY(check_memory(device(), impl_->program()->plan, needs));
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

Status Session::run(const Pixels& images, std::span<float> output) {
  return detail::no_throw<Status>("a run",
                                  [&] { return impl_->run(images, std::span(&output, 1)); });
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

Status Session::set_weights(const Weights& weights) {
  return detail::no_throw<Status>("setting weights", [&] { return impl_->set_weights(weights); });
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
  return make_session(device, capabilities, graph, weights, options, device.impl().tuning().read(),
                      nullptr);
}

}  // namespace caldera
