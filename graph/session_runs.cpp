// Runs of a session: inputs into staging memory, commands submitted, outputs read. Nothing here
// allocates.
#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "graph/session_impl.h"

namespace caldera {

namespace {

Error misfit(const Plan& plan, std::string_view what, ValueId value, size_t got) {
  const Value& v = plan.graph.value(value);
  return {ErrorCode::kInvalidInput,
          fmt::format("the {} '{}' has the shape {}, {} elements, but {} were given", what, v.name,
                      to_string(v.shape), element_count(v.shape), got)};
}

template <typename Span>
Status check(const Plan& plan, std::string_view what, std::span<const ValueId> values,
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
  if (program_->plan.pixel_dispatches > 0) {
    return Error{ErrorCode::kInvalidInput,
                 "the session was made for images of bytes (SessionOptions::pixels)"};
  }
  return check<std::span<const float>>(program_->plan, "input", program_->plan.graph.inputs,
                                       inputs);
}

Status SessionImpl::check_others(std::span<const std::span<const float>> inputs) const {
  return check(program_->plan, "further input", std::span(program_->plan.graph.inputs).subspan(1),
               inputs);
}

Status SessionImpl::check_spans(std::span<const std::span<float>> outputs) const {
  return check(program_->plan, "output", program_->plan.graph.outputs, outputs);
}

Result<SessionImpl::Frame*> SessionImpl::free_frame() {
  Frame& frame = frames_[next_submit_];
  if (frame.begun) {
    return Error{ErrorCode::kInvalidInput, "a run was begun: commit() or cancel() it first"};
  }
  if (frame.under_way) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} runs are under way, as many as the session was made for "
                             "(SessionOptions::frames_in_flight): wait() first",
                             frames_.size())};
  }
  return &frame;
}

void SessionImpl::stage(Frame& frame, std::span<const std::span<const float>> inputs,
                        size_t first) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::memcpy(frame.input.mapped().data() + program_->plan.input_offsets[first + i],
                inputs[i].data(), inputs[i].size_bytes());
  }
}

Status SessionImpl::submit(std::span<const std::span<const float>> inputs) {
  CALDERA_TRY(check_spans(inputs));
  CALDERA_TRY_ASSIGN(Frame * frame, free_frame());
  stage(*frame, inputs, 0);
  CALDERA_TRY(frame->commands.submit());
  frame->under_way = true;
  next_submit_ = (next_submit_ + 1) % frames_.size();
  return {};
}

Status SessionImpl::begin(std::span<const std::span<const float>> inputs) {
  CALDERA_TRY(check_spans(inputs));
  CALDERA_TRY_ASSIGN(Frame * frame, free_frame());
  stage(*frame, inputs, 0);
  if (frame->forward_submits > 0) CALDERA_TRY(frame->commands.submit_first(frame->forward_submits));
  frame->begun = true;
  return {};
}

Status SessionImpl::commit(std::span<const float> last_input) {
  Frame& frame = frames_[next_submit_];
  if (!frame.begun) return Error{ErrorCode::kInvalidInput, "no run was begun: begin() first"};
  const Plan& plan = program_->plan;
  if (last_input.size() !=
      static_cast<size_t>(element_count(plan.graph.value(plan.graph.inputs.back()).shape)))
    return misfit(plan, "input", plan.graph.inputs.back(), last_input.size());
  std::memcpy(frame.input.mapped().data() + plan.input_offsets.back(), last_input.data(),
              last_input.size_bytes());
  return commit_begun(frame);
}

Status SessionImpl::commit_begun(Frame& frame) {
  CALDERA_TRY(frame.commands.submit());
  frame.begun = false;
  frame.under_way = true;
  next_submit_ = (next_submit_ + 1) % frames_.size();
  return {};
}

Status SessionImpl::cancel() {
  Frame& frame = frames_[next_submit_];
  if (!std::exchange(frame.begun, false)) return {};
  return frame.commands.drain();
}

Status SessionImpl::check_idle() const {
  const bool idle = std::ranges::none_of(
      frames_, [](const Frame& frame) { return frame.under_way || frame.begun; });
  if (idle) return {};
  return Error{ErrorCode::kInvalidInput, "runs are under way: wait() for them first"};
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

}  // namespace caldera
