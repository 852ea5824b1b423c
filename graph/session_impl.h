// A session's inside: what forks share (Program) and what each has of its own.
#pragma once

#include <memory>
#include <vector>

#include "caldera/session.h"

#include "graph/plan.h"
#include "runtime/blocks.h"
#include "runtime/recorder.h"

namespace caldera {

// A plan with its pipelines and weights on one device. Immutable.
struct Program {
  Device device;
  SessionOptions options;
  Plan plan;
  std::vector<const Pipeline*> pipelines;  // By dispatch.
  Blocks weights;
};

class SessionImpl {
 public:
  static Result<std::unique_ptr<SessionImpl>> create(std::shared_ptr<const Program> program);
  ~SessionImpl();

  Status run(std::span<const std::span<const float>> inputs,
             std::span<const std::span<float>> outputs);
  Status submit(std::span<const std::span<const float>> inputs);
  Status wait(std::span<const std::span<float>> outputs);
  // Dense, as the graph has it.
  Result<std::vector<float>> read(ValueId activation) const;
  // As it lies in the arena: NHWC, channels padded to vectors of four.
  Result<std::vector<float>> read_padded(ValueId activation) const;
  Result<std::vector<DispatchTime>> timeline() const;
  SessionStats stats() const;
  // What nodes update, by name.
  Result<Weights> states() const;
  // Those of them that `states` holds.
  Status set_states(const Weights& states);
  // Fills the arena and the output staging with NaN: what a kernel leaves unwritten then shows.
  Status poison();

  const std::shared_ptr<const Program>& program() const { return program_; }

 private:
  // What each run under way has of its own. Runs follow one another on the device, so that they
  // share the arena.
  struct Frame {
    Buffer input;
    Buffer output;
    std::vector<double> submit_work;  // By submit: what it was estimated to hold.
    std::vector<double> times;        // Of the last run; kept, so that runs allocate nothing.
    std::vector<double> seconds;      // By submit, of the run before; 0 before the first.
    CommandList commands;             // Last: it refers to the buffers.
    bool under_way = false;
    bool has_run = false;
    int recuts_left = 4;  // Then a device of varying pace stays as it is.
  };

  Status record(Frame& frame);
  Status clear_states();
  Status check_spans(std::span<const std::span<const float>> inputs) const;
  Status check_spans(std::span<const std::span<float>> outputs) const;
  // Cuts anew where the frame's submits took longer than they may, or far less, in two runs on end:
  // many a driver compiles in a first run, and a machine may stall in any.
  void keep_to_budget(Frame& frame);
  BufferRange resolve(const Binding& binding, const Frame& frame) const;

  std::shared_ptr<const Program> program_;
  Blocks arena_;
  Blocks states_;
  std::vector<Frame> frames_;
  size_t next_submit_ = 0;  // Into frames_.
  size_t next_wait_ = 0;
};

// Whether the plan fits in what memory is free; says what batch would.
Status check_memory(const Device& device, const Plan& plan, bool with_weights);

// As Session::create(), by what `tuning` says in place of what the device knows.
Result<Session> create_session(const Device& device, const Graph& graph, const Weights& weights,
                               const SessionOptions& options, const Tuning& tuning);

}  // namespace caldera
