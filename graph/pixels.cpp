// Images as bytes: their memory, and the commands that bring them into a session's arena, which are
// recorded once for each such memory that a session meets.
#include "caldera/pixels.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <fmt/format.h>

#include "graph/pixel_memory.h"
#include "graph/session_impl.h"

namespace caldera {

Result<Pixels> Pixels::create(const Device& device, int64_t images, int64_t height, int64_t width) {
  assert(images > 0 && height > 0 && width > 0);
  return detail::no_throw<Result<Pixels>>("images", [&]() -> Result<Pixels> {
    Pixels pixels;
    pixels.memory_ = std::make_shared<PixelMemory>();
    PixelMemory& memory = *pixels.memory_;
    memory.images = images;
    memory.height = height;
    memory.width = width;
    const uint64_t bytes = static_cast<uint64_t>(images * height * width) * kBytes;
    CALDERA_TRY_ASSIGN(memory.buffer, Buffer::create(device.impl().shared_from_this(),
                                                     PixelMemory::offset(images) + bytes,
                                                     MemoryKind::kUpload, "the images"));
    for (int64_t i = 0; i < images; ++i) pixels.mix(i, 1, static_cast<int32_t>(i));
    return pixels;
  });
}

int64_t Pixels::images() const {
  return memory_ ? memory_->images : 0;
}

std::span<uint8_t> Pixels::image(int64_t index) const {
  assert(index >= 0 && index < images());
  const auto bytes = static_cast<uint64_t>(memory_->height * memory_->width) * kBytes;
  const std::span<std::byte> all = memory_->buffer.mapped();
  return {reinterpret_cast<uint8_t*>(all.data() + PixelMemory::offset(memory_->images)) +
              static_cast<uint64_t>(index) * bytes,
          bytes};
}

void Pixels::mix(int64_t index, float weight, int32_t partner) const {
  assert(index >= 0 && index < images() && partner >= 0 && partner < images());
  std::byte* const to = memory_->buffer.mapped().data() + 8 * index;
  std::memcpy(to, &weight, sizeof(weight));
  std::memcpy(to + sizeof(weight), &partner, sizeof(partner));
}

Result<CommandList*> SessionImpl::pixel_commands(const Pixels& pixels) {
  const std::shared_ptr<PixelMemory>& memory = pixels.memory_;
  for (PixelCommands& known : pixel_commands_) {
    if (known.memory == memory) return &known.commands;
  }
  const Plan& plan = program_->plan;
  CALDERA_TRY_ASSIGN(Recorder recorder,
                     Recorder::create(program_->device.impl().shared_from_this()));
  std::vector<BufferRange> ranges;
  for (size_t i = 0; i < plan.pixel_dispatches; ++i) {
    const Dispatch& dispatch = plan.dispatches[i];
    ranges.clear();
    for (const Binding& binding : dispatch.bindings) {
      if (binding.kind != BindingKind::kInput) {
        ranges.push_back(resolve(binding, frames_.front()));
        continue;
      }
      // There may be more images than the batch has, and the pixels further on.
      const uint64_t offset = binding.offset == 0 ? 0 : PixelMemory::offset(memory->images);
      ranges.push_back({&memory->buffer, offset, binding.size});
    }
    CALDERA_TRY(recorder.dispatch({program_->pipelines[i], ranges,
                                   std::span(dispatch.push.bytes).first(dispatch.push.size),
                                   dispatch.workgroups, 0}));
  }
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  pixel_commands_.push_back({memory, std::move(commands)});
  return &pixel_commands_.back().commands;
}

Status SessionImpl::begin(const Pixels& pixels, std::span<const std::span<const float>> others) {
  const Plan& plan = program_->plan;
  if (plan.pixel_dispatches == 0) {
    return Error{ErrorCode::kInvalidInput,
                 "images of bytes need a session made with SessionOptions::pixels"};
  }
  const Shape& shape = plan.graph.value(plan.graph.inputs[0]).shape;
  const std::shared_ptr<PixelMemory>& memory = pixels.memory_;
  const bool fits = memory && memory->images >= shape[0] && memory->height == shape[2] &&
                    memory->width == shape[3];
  if (!fits) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the input is {}, and the images of bytes are {}", to_string(shape),
                             memory ? fmt::format("{} of {}x{}", memory->images, memory->width,
                                                  memory->height)
                                    : "none")};
  }
  CALDERA_TRY(check_others(others));
  CALDERA_TRY_ASSIGN(Frame * frame, free_frame());
  const bool in_use = std::ranges::any_of(
      frames_, [&](const Frame& other) { return other.under_way && other.pixels == memory.get(); });
  if (in_use) {
    return Error{ErrorCode::kInvalidInput, "a run on these images is under way: wait() for it"};
  }
  CALDERA_TRY_ASSIGN(CommandList * commands, pixel_commands(pixels));
  stage(*frame, others, 1);
  CALDERA_TRY(commands->submit_first(commands->submits()));
  frame->begun = true;
  frame->pixels = memory.get();
  if (frame->forward_submits == 0) return {};
  return frame->commands.submit_first(frame->forward_submits);
}

Status SessionImpl::run(const Pixels& pixels, std::span<const std::span<float>> outputs) {
  CALDERA_TRY(check_spans(outputs));
  CALDERA_TRY(check_idle());
  CALDERA_TRY(begin(pixels, {}));
  CALDERA_TRY(commit_begun(frames_[next_submit_]));
  return wait(outputs);
}

}  // namespace caldera
