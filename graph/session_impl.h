// A session's inside: what forks share (Program) and what each has of its own.
#pragma once

#include <memory>
#include <vector>

#include "caldera/pixels.h"
#include "caldera/session.h"

#include "graph/pixel_memory.h"
#include "graph/plan.h"
#include "runtime/blocks.h"
#include "runtime/recorder.h"

namespace caldera {

// A plan with its pipelines and weights on one device. Immutable where forks share it.
struct Program {
  Device device;
  SessionOptions options;
  Graph given;  // Before the passes.
  Plan plan;
  std::vector<const Pipeline*> pipelines;  // By dispatch.
  Blocks weights;
};

class SessionImpl {
 public:
  // `beside`: a session of the same states, which are this one's then, and its arena where that is
  // large enough. The two run in turns.
  static Result<std::unique_ptr<SessionImpl>> create(std::shared_ptr<Program> program,
                                                     const SessionImpl* beside = nullptr);
  ~SessionImpl();

  Status run(std::span<const std::span<const float>> inputs,
             std::span<const std::span<float>> outputs);
  Status run(const Pixels& pixels, std::span<const std::span<float>> outputs);
  Status submit(std::span<const std::span<const float>> inputs);
  Status wait(std::span<const std::span<float>> outputs);
  // submit() in two parts, of a graph that trains: what changes nothing (Plan::forward_dispatches),
  // then the rest, with the last input as it is by then.
  Status begin(std::span<const std::span<const float>> inputs);
  // The same where the first input comes as bytes (Plan::pixel_dispatches).
  Status begin(const Pixels& pixels, std::span<const std::span<const float>> others);
  Status commit(std::span<const float> last_input);
  // Gives up what was begun.
  Status cancel();
  // Dense, as the graph has it.
  Result<std::vector<float>> read(ValueId activation) const;
  // As it lies in the arena: NHWC, channels padded as shaders/common/channels.h has it.
  Result<std::vector<float>> read_padded(ValueId activation) const;
  Result<std::vector<DispatchTime>> timeline() const;
  SessionStats stats() const;
  // What nodes update, by name.
  Result<Weights> states() const;
  // Those of them that `states` holds.
  Status set_states(const Weights& states);
  Status set_weights(const Weights& weights);
  // Fills the arena and the output staging with NaN: what a kernel leaves unwritten then shows.
  Status poison();

  const std::shared_ptr<Program>& program() const { return program_; }
  // Device memory that a session of such a plan takes for itself where it is made beside this one.
  uint64_t bytes_beside(const Plan& plan) const;

 private:
  // What each run under way has of its own. Runs follow one another on the device, so that they
  // share the arena.
  struct Frame {
    Buffer input;
    Buffer output;
    std::vector<double> submit_work;      // By submit: what it was estimated to hold.
    std::vector<double> times;            // The last run's; kept, so that runs allocate nothing.
    std::vector<double> seconds;          // By submit, of the run before; 0 before the first.
    CommandList commands;                 // Last: it refers to the buffers.
    uint32_t forward_submits = 0;         // The commands that begin() submits.
    const PixelMemory* pixels = nullptr;  // The last run's, if it was given some.
    bool begun = false;
    bool under_way = false;
    bool has_run = false;
    int recuts_left = 4;  // Then a device of varying pace stays as it is.
  };

  Status record(Frame& frame);
  Status clear_states();
  Status check_idle() const;
  // The frame for the next run, if it is free.
  Result<Frame*> free_frame();
  // As the graph's inputs from `first` on.
  void stage(Frame& frame, std::span<const std::span<const float>> inputs, size_t first) const;
  // Brings images of bytes into the arena.
  Result<CommandList*> pixel_commands(const Pixels& pixels);
  Status commit_begun(Frame& frame);
  Status check_spans(std::span<const std::span<const float>> inputs) const;
  Status check_spans(std::span<const std::span<float>> outputs) const;
  // All inputs but the first.
  Status check_others(std::span<const std::span<const float>> inputs) const;
  // Cuts anew where the frame's submits took longer than they may, or far less, in two runs on end:
  // many a driver compiles in a first run, and a machine may stall in any.
  void keep_to_budget(Frame& frame);
  BufferRange resolve(const Binding& binding, const Frame& frame) const;

  struct PixelCommands {
    std::shared_ptr<PixelMemory> memory;
    CommandList commands;
  };

  std::shared_ptr<Program> program_;
  std::shared_ptr<const Blocks> arena_;
  std::shared_ptr<const Blocks> states_;
  std::vector<Frame> frames_;
  std::vector<PixelCommands> pixel_commands_;
  size_t next_submit_ = 0;  // Into frames_.
  size_t next_wait_ = 0;
};

// The door for what is no one else's.
struct SessionAccess {
  static SessionImpl& impl(Session& session) { return *session.impl_; }
  static const SessionImpl& impl(const Session& session) { return *session.impl_; }
  static Session wrap(std::unique_ptr<SessionImpl> impl) { return Session(std::move(impl)); }
};

// What a plan takes of a device's memory.
struct MemoryNeeds {
  uint64_t fixed = 0;  // Weights and states, whatever the batch is.
  uint64_t activations = 0;
  uint64_t more = 0;  // What sessions beside it need.
};

MemoryNeeds needs_of(const Plan& plan);

// Whether that fits in what memory is free; says what batch would.
Status check_memory(const Device& device, const Plan& plan, const MemoryNeeds& needs);

// Into Program::weights, which are there.
Status upload_weights(const Program& program);

// As Session::create(), by what `tuning` says in place of what the device knows.
Result<Session> create_session(const Device& device, const Graph& graph, const Weights& weights,
                               const SessionOptions& options, const Tuning& tuning);

// As Session::create(), of the states of `beside`: see SessionImpl::create().
Result<Session> create_session_beside(const Session& beside, const Graph& graph,
                                      const Weights& weights, const SessionOptions& options);

}  // namespace caldera
