// Runs a graph on a device. create() does all the work that can fail: it fuses, chooses kernels,
// plans memory, compiles pipelines, uploads weights and records the commands once; run() then
// neither allocates nor records.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caldera/device.h"
#include "caldera/graph.h"
#include "caldera/pixels.h"
#include "caldera/result.h"
#include "caldera/tensor.h"

namespace caldera {

// By which a plan chooses how each value is stored (Value::storage): activations and the weights of
// convolutions and linear layers as f32, f16 or bf16. Sums, statistics, batch-norm's vectors,
// biases and all that training changes are f32 in any.
enum class Precision : uint8_t { kFp32, kFp16, kBf16 };

// "fp32", "fp16", "bf16"
std::string_view precision_name(Precision precision);
// `precision` where the device stores such values (DeviceInfo::fp16, DeviceInfo::bf16), else kFp32.
Precision supported_precision(const DeviceInfo& device, Precision precision);

struct TuneReport;  // caldera/tuner.h

struct SessionOptions {
  // Folds batch-norm into convolutions, and activations and residual adds into what makes them.
  bool fuse = true;
  // Keeps every activation readable by read(), at the price of memory.
  bool keep_activations = false;
  // Times every dispatch, for timeline().
  bool profile = false;
  // What supported_precision() makes of it: Session::precision() tells.
  Precision precision = Precision::kFp32;
  // Layers that compute in f32 in any precision: names of the graph's nodes, in which '*' stands
  // for any characters ("layer4.*"). What is fused with such a layer is in full precision too, and
  // so are its gradients and the loss of such logits. An error where one names no layer.
  std::vector<std::string> full_precision{};
  // Takes for each layer the kernel that tune() (caldera/tuner.h) found the fastest on this device.
  bool tuned = true;
  // Runs tune() first, on what was not measured yet on this device.
  bool tune = false;
  // Called with what that found, if anything was left to measure.
  std::function<void(const TuneReport&)> on_tuned{};
  // Seconds of device time that one submit may take, so that no driver's watchdog bites. Held by an
  // estimate at first, then by what runs were measured to take.
  double submit_seconds = 0.5;
  // The first input, of three channels, is given as Pixels (caldera/pixels.h), whose bytes become
  // these numbers. Not to be had with `profile`.
  std::shared_ptr<const PixelValues> pixels{};
  // Runs that may be under way at once: see submit().
  int frames_in_flight = 1;
  // Names of kernel variants ("conv2d_direct") to take wherever they are supported, before any
  // other. An unknown name is an error.
  std::vector<std::string> kernels{};
};

struct SessionStats {
  uint64_t weights_bytes = 0;      // Device memory for weights, shared by forks.
  uint64_t states_bytes = 0;       // Device memory for what training changes.
  uint64_t arena_bytes = 0;        // Device memory for activations.
  uint64_t arena_lower_bound = 0;  // The most bytes alive at once: no plan can need less.
  // The bytes of each block that these lie in: a device limits what one may have.
  std::vector<uint64_t> weights_blocks;
  std::vector<uint64_t> states_blocks;
  std::vector<uint64_t> arena_blocks;
  uint64_t staging_bytes = 0;  // Host-visible memory for inputs and outputs.
  uint32_t dispatches = 0;
  uint32_t barriers = 0;
  uint32_t pipelines = 0;
  uint32_t submits = 0;  // A run; more than one where a watchdog would bite.
};

// A dispatch of the last run, as the device timed it.
struct DispatchTime {
  NodeId node = NodeId::kNone;  // Of graph(); kNone for changes of layout at the graph's edges.
  std::string_view shader;      // What ran: a kernel variant may take several.
  double start = 0;             // Seconds from the run's first dispatch.
  double seconds = 0;
  int64_t multiply_adds = 0;
  uint64_t bytes = 0;  // That it binds: what a perfect cache would move.
};

// Device memory of a layer of graph(), in bytes.
struct LayerMemory {
  NodeId node = NodeId::kNone;
  uint64_t output_bytes = 0;     // Of its output in the arena; 0 where that is its input's memory.
  uint32_t output_block = 0;     // Which of SessionStats::arena_blocks its first output lies in.
  uint64_t workspace_bytes = 0;  // In the arena too, while it runs.
  uint64_t weights_bytes = 0;    // Those that it shares with other layers included.
  uint64_t alive_bytes = 0;      // The most that the arena holds for anyone while it runs.
};

class SessionImpl;

// One thread at a time may use a session. For more threads, fork().
class Session {
 public:
  static Result<Session> create(const Device& device, const Graph& graph, const Weights& weights,
                                const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Another session on the same weights and pipelines, for another thread.
  Result<Session> fork() const;

  // Graphs of one input and one output. input: float32, the graph's input shape, row-major.
  // output: float32, the graph's output shape. Fails on a span of another size, or device loss.
  Status run(std::span<const float> input, std::span<float> output);
  // The same with SessionOptions::pixels.
  Status run(const Pixels& images, std::span<float> output);
  // Any number of inputs and outputs, in the graph's order.
  Status run(std::span<const std::span<const float>> inputs,
             std::span<const std::span<float>> outputs);

  // The same in two steps, so that the host prepares and reads other inputs while the device works:
  // submit() copies the inputs and returns; wait() waits for the oldest run submitted and copies
  // its outputs. At most `frames_in_flight` runs may be under way; one more, or a wait() for none,
  // is an error.
  Status submit(std::span<const std::span<const float>> inputs);
  Status wait(std::span<const std::span<float>> outputs);

  // Replaces all weights by others of the same shapes: the plan, its kernels and its memory stay.
  // For a graph that changes nothing (else set_states()), and a session that has no forks, since
  // those share its weights. After an error of the device the weights are undefined.
  Status set_weights(const Weights& weights);

  // With keep_activations: an activation of graph() as the last run left it.
  Result<std::vector<float>> read(ValueId activation) const;

  // What runs change, by name: of a graph with nodes that update parameters or states. They start
  // as the weights that create() was given, or at zero where those may lack them.
  Result<Weights> states() const;
  // Replaces those of them that `states` names. An error where a shape differs, or while runs are
  // under way.
  Status set_states(const Weights& states);

  // With profile: the dispatches of the last run, in their order. A dispatch's time counts from
  // the end of the one before it, so that the times add up to the run's.
  Result<std::vector<DispatchTime>> timeline() const;

  // The graph as it is run, after the passes.
  const Graph& graph() const;
  // Its weights: those given, and those that passes made of them, which are computed by the call.
  // Fails where the host has no memory for them.
  Result<Weights> weights() const;
  Precision precision() const;
  // The kernel variant that runs each node of graph(); empty for one that needs no dispatch.
  std::vector<std::string> kernels() const;
  // By node of graph(): where its memory goes.
  std::vector<LayerMemory> memory() const;
  const Device& device() const;
  SessionStats stats() const;

 private:
  friend struct SessionAccess;  // graph/test_hooks.h
  explicit Session(std::unique_ptr<SessionImpl> impl);
  std::unique_ptr<SessionImpl> impl_;
};

// The names of all kernel variants of all operators.
std::vector<std::string> kernel_names();

}  // namespace caldera
