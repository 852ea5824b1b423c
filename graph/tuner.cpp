// The tuner: each distinct problem of a plan as a graph of one node, by every variant in turn.
#include "caldera/tuner.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <random>
#include <utility>

#include "caldera/reference.h"

#include "graph/plan.h"
#include "graph/problem_key.h"
#include "graph/session_impl.h"
#include "runtime/device_impl.h"
#include "runtime/tuning.h"

namespace caldera {

namespace {

constexpr int kTrialRuns = 5;
constexpr int kWholeRuns = 7;
constexpr int kAttempts = 3;  // Machines are noisy: a plan has so many chances to prove the faster.
// A variant this many times slower than the best so far in its first run is not run again.
constexpr double kHopeless = 3;

// The relative L2 error that the rounding of operands and results explains.
double tolerance(Storage storage) {
  switch (storage) {
    case Storage::kF16:
      return 4e-3;
    case Storage::kBf16:
      return 3e-2;
    default:
      return 1e-4;
  }
}

constexpr int64_t kReferenceImages = 2;  // Distinct ones of a batch.

using Floats = std::vector<float>;

Floats random_floats(std::mt19937& random, int64_t count) {
  Floats values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random() >> 8) * 0x1p-23f - 1;
  return values;
}

// What training adds is little next to the convolutions, or has but one good kernel; but for this.
bool is_weight_gradient(const Node& node) {
  return node.kind() == OpKind::kConv2dWeightGradient;
}

int64_t batch_of(const Graph& graph, const Node& node) {
  return graph.value(is_weight_gradient(node) ? node.inputs[1] : node.output()).shape[0];
}

// `node` alone: its activations become inputs. Images are reduced to `images` at most.
Graph graph_of(const Graph& graph, const Node& node, int64_t images) {
  Graph alone;
  Node copy = node;
  const auto append = [&](Value value) {
    alone.values.push_back(std::move(value));
    return static_cast<ValueId>(alone.values.size() - 1);
  };
  for (ValueId& input : copy.inputs) {
    Value value = graph.value(input);
    const NodeId producer = std::exchange(value.producer, NodeId::kNone);
    bool activation = value.role == ValueRole::kActivation || value.role == ValueRole::kInput;
    if (producer != NodeId::kNone && graph.node(producer).kind() == OpKind::kTransposeWeight) {
      value.role = ValueRole::kParameter;  // Of the shape that the kernel sees.
      activation = false;
    }
    if (activation) {
      value.role = ValueRole::kInput;
      value.shape[0] = std::min(value.shape[0], images);
    }
    input = append(value);
    if (activation) alone.inputs.push_back(input);
  }
  for (ValueId& update : copy.updates) update = append(graph.value(update));
  if (is_weight_gradient(node)) {
    alone.outputs = {copy.inputs[1]};  // A graph needs one.
  } else {
    for (ValueId& id : copy.outputs) {
      Value output = graph.value(id);
      output.shape[0] = std::min(output.shape[0], images);
      output.producer = static_cast<NodeId>(0);
      id = append(output);
    }
    alone.outputs = {copy.output()};
  }
  alone.nodes.push_back(std::move(copy));
  return alone;
}

// A problem with random operands and the reference's result of them: the node's output, or what it
// adds to a gradient that was zero.
struct Problem {
  Graph graph;
  Weights weights;
  std::vector<Floats> inputs;
  Floats expected;

  const Node& node() const { return graph.nodes[0]; }
  ValueId result() const {
    return is_weight_gradient(node()) ? node().updates[0] : node().output();
  }
};

// All images of the batch repeat the first few, so that the reference need compute no more.
Floats repeat_images(const Floats& few, int64_t of, int64_t images) {
  const size_t image = few.size() / static_cast<size_t>(of);
  Floats all;
  for (int64_t i = 0; i < images; ++i) {
    const auto from = few.begin() + static_cast<int64_t>(image) * (i % of);
    all.insert(all.end(), from, from + static_cast<int64_t>(image));
  }
  return all;
}

// A sum over images counts each of the few as often as it is repeated.
void weigh_images(Floats& few, int64_t of, int64_t images) {
  const size_t image = few.size() / static_cast<size_t>(of);
  for (size_t i = 0; i < few.size(); ++i) {
    const auto which = static_cast<int64_t>(i / image);
    few[i] *= static_cast<float>((images - which + of - 1) / of);
  }
}

Result<Problem> make_problem(const Graph& graph, const Node& node) {
  std::mt19937 random(7);
  const int64_t batch = batch_of(graph, node);
  const int64_t few = std::min(batch, kReferenceImages);
  Problem problem{graph_of(graph, node, batch), {}, {}, {}};
  const Graph reduced = graph_of(graph, node, few);
  for (const Value& value : problem.graph.values) {
    if (value.role == ValueRole::kInput || value.role == ValueRole::kActivation) continue;
    if (value.starts_at_zero) continue;
    problem.weights[value.name] =
        Tensor::from_floats(value.shape, random_floats(random, element_count(value.shape)));
  }
  std::vector<Floats> inputs;
  for (const ValueId input : reduced.inputs) {
    inputs.push_back(random_floats(random, element_count(reduced.value(input).shape)));
    problem.inputs.push_back(repeat_images(inputs.back(), few, batch));
  }
  const bool sums = is_weight_gradient(node);
  if (sums) weigh_images(inputs[1], few, batch);
  CALDERA_TRY_ASSIGN(const ReferenceValues values, run_reference(reduced, problem.weights, inputs));
  const Floats& result = values[problem.result()];  // The graphs' values are the same.
  problem.expected = sums ? result : repeat_images(result, few, batch);
  return problem;
}

// Seconds on the device of the node's own dispatches, by the last run.
Result<double> node_seconds(const Session& session) {
  CALDERA_TRY_ASSIGN(const std::vector<DispatchTime> timeline, session.timeline());
  double seconds = 0;
  for (const DispatchTime& dispatch : timeline) {
    if (dispatch.node != NodeId::kNone) seconds += dispatch.seconds;
  }
  return seconds;
}

// Runs the session once; the problem's result by it.
Result<Floats> run_once(Session& session, const Problem& problem,
                        const std::vector<std::span<const float>>& inputs,
                        const std::vector<std::span<float>>& outputs) {
  CALDERA_TRY(session.run(inputs, outputs));
  if (!is_weight_gradient(problem.node())) return Floats(outputs[0].begin(), outputs[0].end());
  CALDERA_TRY_ASSIGN(const Weights states, session.states());
  const auto gradient = states.at(problem.graph.value(problem.result()).name).floats();
  return Floats(gradient.begin(), gradient.end());
}

// `best`: the least seconds of a variant so far.
Result<KernelTrial> try_kernel(const Device& device, const Problem& problem,
                               std::string_view kernel, const SessionOptions& given, double best) {
  KernelTrial trial{.kernel = std::string(kernel)};
  SessionOptions options = given;
  options.kernels = {trial.kernel};
  options.full_precision.clear();  // The problem's values have the storages that it chose.
  options.fuse = false;
  options.profile = true;
  options.tuned = false;
  options.tune = false;
  auto session = Session::create(device, problem.graph, problem.weights, options);
  if (!session.ok()) {
    trial.refusal = session.error().message;
    return trial;
  }
  if (session->kernels()[0] != kernel) {
    trial.refusal = "it does not take the whole batch on this device";
    return trial;
  }
  const std::vector<std::span<const float>> inputs(problem.inputs.begin(), problem.inputs.end());
  const Value& value = problem.graph.value(problem.graph.outputs[0]);
  Floats output(static_cast<size_t>(element_count(value.shape)),
                std::numeric_limits<float>::quiet_NaN());
  const std::vector<std::span<float>> outputs{output};
  // Drivers may compile as late as now.
  CALDERA_TRY_ASSIGN(const Floats result, run_once(*session, problem, inputs, outputs));
  trial.error = relative_l2(result, problem.expected);
  if (!(trial.error <= tolerance(*value.storage))) {
    trial.refusal = "its results differ from the CPU's";
    return trial;
  }
  trial.seconds = std::numeric_limits<double>::infinity();
  for (int run = 0; run < kTrialRuns; ++run) {
    CALDERA_TRY(session->run(inputs, outputs));
    CALDERA_TRY_ASSIGN(const double seconds, node_seconds(*session));
    trial.seconds = std::min(trial.seconds, seconds);
    if (trial.seconds > kHopeless * best) break;
  }
  return trial;
}

Result<double> run_seconds(Session& session, const std::vector<std::span<const float>>& inputs,
                           const std::vector<std::span<float>>& outputs) {
  const auto start = std::chrono::steady_clock::now();
  CALDERA_TRY(session.run(inputs, outputs));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Of training steps that leave the weights as they are, so that no run computes with infinities.
Floats still_scalars() {
  Floats scalars(kScalarCount, 1.0f);
  scalars[static_cast<size_t>(ScalarSlot::kLearningRate)] = 0;
  return scalars;
}

// Whole runs with and without what was measured, in turns, so that drift hits both alike.
Status compare_whole(const Device& device, const Graph& graph, const Weights& weights,
                     const SessionOptions& given, const Tuning& tuning, TuneReport& report) {
  SessionOptions options = given;
  options.tuned = true;
  CALDERA_TRY_ASSIGN(Session tuned, create_session(device, graph, weights, options, tuning));
  options.tuned = false;
  CALDERA_TRY_ASSIGN(Session untuned, create_session(device, graph, weights, options, tuning));
  std::mt19937 random(9);
  std::vector<Floats> inputs, outputs;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    inputs.push_back(random_floats(random, element_count(input.shape)));
    if (input.shape == Shape{1, kScalarCount}) inputs.back() = still_scalars();
  }
  for (const ValueId id : graph.outputs) {
    outputs.emplace_back(static_cast<size_t>(element_count(graph.value(id).shape)));
  }
  const std::vector<std::span<const float>> from(inputs.begin(), inputs.end());
  const std::vector<std::span<float>> to(outputs.begin(), outputs.end());
  std::vector<double> with, without;
  for (int run = 0; run <= kWholeRuns; ++run) {
    CALDERA_TRY_ASSIGN(const double a, run_seconds(tuned, from, to));
    CALDERA_TRY_ASSIGN(const double b, run_seconds(untuned, from, to));
    if (run == 0) continue;
    with.push_back(a);
    without.push_back(b);
  }
  report.tuned_seconds = median(std::move(with));
  report.untuned_seconds = median(std::move(without));
  return {};
}

class Tuner {
 public:
  Tuner(const Device& device, const Graph& graph, const Weights& weights,
        const TuneOptions& options)
      : device_(device),
        graph_(graph),
        weights_(weights),
        options_(options),
        known_(device.impl().tuning().read()) {}

  Result<TuneReport> run() {
    CALDERA_TRY(find_problems());
    for (size_t i = 0; i < report_.layers.size(); ++i) {
      if (options_.on_layer) {
        options_.on_layer(report_.layers[i].layer, static_cast<int>(i),
                          static_cast<int>(report_.layers.size()));
      }
      CALDERA_TRY(measure(report_.layers[i], *nodes_[i]));
    }
    if (!report_.layers.empty()) CALDERA_TRY(settle());
    return std::move(report_);
  }

 private:
  // The distinct problems that more than one variant takes.
  Status find_problems() {
    SessionOptions untuned = options_.session;
    untuned.tuned = false;
    CALDERA_TRY_ASSIGN(plan_, make_plan(device_.impl().capabilities(), device_.info().name, graph_,
                                        weights_, untuned, known_));
    std::map<std::string, size_t> index;
    for (size_t i = 0; i < plan_.graph.nodes.size(); ++i) {
      const Node& node = plan_.graph.nodes[i];
      if (node.kind() > OpKind::kDropout && !is_weight_gradient(node)) continue;
      if (variants_of(node).size() < 2) continue;
      const std::string problem = problem_key(plan_.graph, node);
      if (options_.only_missing && !known_.choice(problem).empty()) continue;
      const auto [at, is_new] = index.emplace(problem, report_.layers.size());
      if (!is_new) {
        ++report_.layers[at->second].layers;
        continue;
      }
      const std::string untuned_kernel(plan_.kernels[i]->name);
      report_.layers.push_back({.layer = node.name,
                                .problem = problem,
                                .untuned = untuned_kernel,
                                .chosen = untuned_kernel});
      nodes_.push_back(&node);
    }
    return {};
  }

  std::vector<const KernelVariant*> variants_of(const Node& node) const {
    const KernelContext context{device_.impl().capabilities(), plan_.graph, node};
    std::vector<const KernelVariant*> list;
    for (const KernelVariant& variant : kernel_variants(node.kind())) {
      if (variant.emit && (!variant.supported || variant.supported(context))) {
        list.push_back(&variant);
      }
    }
    // The likely ones first, so that hopeless ones are known for such at once.
    const auto cost = [&](const KernelVariant* v) { return v->cost ? v->cost(context) : 0.0; };
    std::stable_sort(list.begin(), list.end(),
                     [&](const auto* a, const auto* b) { return cost(a) < cost(b); });
    return list;
  }

  Status measure(LayerTuning& layer, const Node& node) {
    CALDERA_TRY_ASSIGN(const Problem problem, make_problem(plan_.graph, node));
    double best = std::numeric_limits<double>::infinity();
    for (const KernelVariant* variant : variants_of(node)) {
      CALDERA_TRY_ASSIGN(const KernelTrial trial,
                         try_kernel(device_, problem, variant->name, options_.session, best));
      layer.trials.push_back(trial);
      if (!trial.refusal.empty()) {
        if (trial.error > 0) found_.refuse(layer.problem, trial.kernel);
        continue;
      }
      if (trial.seconds >= best) continue;
      best = trial.seconds;
      layer.chosen = trial.kernel;
    }
    layer.untuned = without_tuning(layer);
    // Where all were refused this says so, and no later call tries them again.
    if (best == std::numeric_limits<double>::infinity()) layer.chosen = layer.untuned;
    found_.choose(layer.problem, {layer.chosen, trial_seconds(layer)});
    return {};
  }

  // A wrong kernel is wrong untuned too: then the next likely one is taken, which trials are
  // ordered by.
  static std::string without_tuning(const LayerTuning& layer) {
    const auto sound = [](const KernelTrial& trial) { return trial.refusal.empty(); };
    const auto was = std::ranges::find(layer.trials, layer.untuned, &KernelTrial::kernel);
    if (was != layer.trials.end() && sound(*was)) return layer.untuned;
    const auto next = std::ranges::find_if(layer.trials, sound);
    return next != layer.trials.end() ? next->kernel : layer.untuned;
  }

  static double trial_seconds(const LayerTuning& layer) {
    const auto trial = std::ranges::find(layer.trials, layer.chosen, &KernelTrial::kernel);
    return trial != layer.trials.end() ? trial->seconds : 0;
  }

  // Keeps what was found, unless whole runs are slower by it.
  Status settle() {
    Tuning merged = known_;
    merged.merge(found_);
    for (int attempt = 0; attempt < kAttempts && !report_.kept; ++attempt) {
      CALDERA_TRY(compare_whole(device_, graph_, weights_, options_.session, merged, report_));
      report_.kept = report_.tuned_seconds <= report_.untuned_seconds;
    }
    if (!report_.kept) {
      for (LayerTuning& layer : report_.layers) {
        layer.chosen = layer.untuned;
        found_.choose(layer.problem, {layer.chosen, trial_seconds(layer)});
      }
    }
    const Status saved = device_.impl().tuning().add(found_);
    if (!saved.ok()) report_.unsaved = saved.error().message;
    return {};
  }

  const Device& device_;
  const Graph& graph_;
  const Weights& weights_;
  const TuneOptions& options_;
  Tuning known_;
  Tuning found_;
  Plan plan_;
  std::vector<const Node*> nodes_;  // By layer of the report.
  TuneReport report_;
};

}  // namespace

Result<TuneReport> tune(const Device& device, const Graph& graph, const Weights& weights,
                        const TuneOptions& options) {
  return detail::no_throw<Result<TuneReport>>(
      "tuning", [&] { return Tuner(device, graph, weights, options).run(); });
}

}  // namespace caldera
