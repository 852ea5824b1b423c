// A session's inside: what forks share (Program) and what each has of its own.
#pragma once

#include <memory>
#include <vector>

#include "caldera/session.h"

#include "graph/plan.h"
#include "runtime/buffer.h"
#include "runtime/recorder.h"

namespace caldera {

// A plan with its pipelines and weights on one device. Immutable.
struct Program {
  Device device;
  SessionOptions options;
  Plan plan;
  std::vector<const Pipeline*> pipelines;  // By dispatch.
  Buffer weights;
};

class SessionImpl {
 public:
  static Result<std::unique_ptr<SessionImpl>> create(std::shared_ptr<const Program> program);

  Status run(std::span<const std::span<const float>> inputs,
             std::span<const std::span<float>> outputs);
  // Dense, as the graph has it.
  Result<std::vector<float>> read(ValueId activation) const;
  // As it lies in the arena: NHWC, channels padded to vectors of four.
  Result<std::vector<float>> read_padded(ValueId activation) const;
  Result<std::vector<DispatchTime>> timeline() const;
  SessionStats stats() const;
  // Fills the arena and the output staging with NaN: what a kernel leaves unwritten then shows.
  Status poison();

  const std::shared_ptr<const Program>& program() const { return program_; }

 private:
  Status record();
  BufferRange resolve(const Binding& binding) const;

  std::shared_ptr<const Program> program_;
  Buffer arena_;
  Buffer input_;
  Buffer output_;
  CommandList commands_;  // Last: it refers to the buffers.
};

}  // namespace caldera
