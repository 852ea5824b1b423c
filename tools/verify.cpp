// `caldera verify`: is this device right for this network? Every layer's result is held against
// the CPU's, computed from the inputs that the device itself gave that layer, so that an error is
// named where it arises; the logits are held against the whole network on the CPU, operator by
// operator, which also tells whether fusing was right. Then runs are repeated to equal bits.
#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "caldera/reference.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/progress.h"
#include "tools/random_input.h"
#include "tools/report.h"

namespace caldera::tool {

namespace {

constexpr int kRepeats = 10;
// What rounding alone comes to, with a margin: of a layer, and of a whole network of up to 152
// layers or beyond. In fp16 a layer's weights and result are rounded to 11 bits, 5e-4 at most of
// each, and a network's every layer passes that on.
struct Tolerances {
  double layer, logits, deep_logits;
};
constexpr Tolerances kFp32Tolerances{1e-4, 1e-4, 1e-3};
constexpr Tolerances kFp16Tolerances{2e-3, 1e-2, 5e-2};
constexpr Tolerances kBf16Tolerances{1.6e-2, 8e-2, 4e-1};  // 8 bits: 8 times as coarse.
constexpr double kLargestHalf = 65504;

// Times fp32's rounding, which is to 24 bits.
double coarser_rounding(Precision precision) {
  return precision == Precision::kFp16 ? 0x1p13 : precision == Precision::kBf16 ? 0x1p16 : 1;
}
constexpr double kRoundingSlack = 4;  // Times what the CPU's own two ways to round differ by.
constexpr int64_t kDeep = 200;

struct Args {
  ModelArgs model;
  DeviceArgs device;
  std::string input;
  int64_t batch = 1;
  int32_t input_size = 0;
  double tolerance = 0;
  bool json = false;
};

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

const Tolerances& tolerances(Precision precision) {
  switch (precision) {
    case Precision::kFp16:
      return kFp16Tolerances;
    case Precision::kBf16:
      return kBf16Tolerances;
    case Precision::kFp32:
      break;
  }
  return kFp32Tolerances;
}

struct LayerError {
  std::string layer;
  std::string op;
  std::string kernel;
  Shape shape;
  double error = 0;
  bool finite = true;  // Of the CPU's result.
};

struct Verdict {
  std::vector<LayerError> layers;
  double largest = 0;
  std::string largest_layer;
  double logits = 0;
  Precision precision = Precision::kFp32;
  double layer_tolerance = 0;
  double logits_tolerance = 0;
  int repeats_equal = 0;
  // In fp16, the first layer whose result has values beyond it.
  std::string beyond_half;
  // The first layer that is NaN or infinite on the CPU too, where the logits are: then there is
  // nothing to hold the device against.
  std::string overflow;

  // Written so that NaN fails.
  bool passed() const {
    return overflow.empty() && largest <= layer_tolerance && logits <= logits_tolerance &&
           repeats_equal == kRepeats;
  }
};

Result<Tensor> make_input(const Args& args, const Model& model) {
  const int64_t channels = model.architecture().input_channels;
  if (!args.input.empty()) return read_input(args.input, channels);
  Size2d size = model.input_size();
  if (args.input_size > 0) {
    size = {args.input_size, args.input_size};
  } else if (size.h > 64 || size.w > 64) {
    size = {64, 64};  // The CPU's loops take seconds for this, minutes for 224.
  }
  return random_input({args.batch, channels, size.h, size.w}, args.model.seed);
}

bool is_activation(const Graph& graph, ValueId id) {
  return graph.value(id).role == ValueRole::kActivation;
}

// Each layer of the graph as it is run, from the device's own activations.
Status check_layers(const Session& session, const std::vector<float>& input, Progress& progress,
                    int64_t& done, Verdict& verdict) {
  const Graph& graph = session.graph();
  CALDERA_TRY_ASSIGN(const Weights weights, session.weights());
  const std::vector<std::string> kernels = session.kernels();
  ReferenceValues device;
  device.values.resize(graph.values.size());
  device.values[static_cast<uint32_t>(graph.inputs.front())] = input;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    CALDERA_TRY_ASSIGN(std::vector<float> found, session.read(node.output()));
    const std::vector<float> expected = reference_node(graph, node, weights, device);
    LayerError layer{node.name,
                     std::string(op_name(node.kind())),
                     i < kernels.size() ? kernels[i] : "",
                     graph.value(node.output()).shape,
                     relative_l2(found, expected),
                     all_finite(expected)};
    if (verdict.precision == Precision::kFp16 && verdict.beyond_half.empty() &&
        std::any_of(expected.begin(), expected.end(),
                    [](float v) { return std::abs(v) > kLargestHalf; })) {
      verdict.beyond_half = layer.layer;
    }
    if (!(layer.error <= verdict.largest)) {
      verdict.largest = layer.error;
      verdict.largest_layer = layer.layer;
    }
    verdict.layers.push_back(std::move(layer));
    device.values[static_cast<uint32_t>(node.output())] = std::move(found);
    progress.update(++done);
  }
  return {};
}

// The whole network on the CPU, operator by operator, and the first layer that is not finite.
// Values are dropped after their last use.
std::vector<float> reference_logits(const Graph& graph, const Weights& weights,
                                    const std::vector<float>& input, Progress& progress,
                                    int64_t& done, std::string& overflow) {
  std::vector<size_t> last_use(graph.values.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].inputs) last_use[static_cast<uint32_t>(id)] = i;
  }
  ReferenceValues values;
  values.values.resize(graph.values.size());
  values.values[static_cast<uint32_t>(graph.inputs.front())] = input;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    std::vector<float>& output = values.values[static_cast<uint32_t>(node.output())];
    output = reference_node(graph, node, weights, values);
    if (overflow.empty() && !all_finite(output)) overflow = node.name;
    for (const ValueId id : node.inputs) {
      const bool kept = id == graph.outputs.front() || !is_activation(graph, id);
      if (!kept && last_use[static_cast<uint32_t>(id)] == i) {
        values.values[static_cast<uint32_t>(id)] = {};
      }
    }
    progress.update(++done);
  }
  std::vector<float>& logits = values.values[static_cast<uint32_t>(graph.outputs.front())];
  if (all_finite(logits)) overflow.clear();
  return std::move(logits);
}

Result<Verdict> check(const Device& device, const Model& model, const Tensor& input,
                      const Args& args) {
  const Shape& shape = input.shape();
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(shape[0], {static_cast<int32_t>(shape[2]),
                                                               static_cast<int32_t>(shape[3])}));
  SessionOptions options = args.device.session();
  options.keep_activations = true;
  CALDERA_TRY_ASSIGN(Session session, Session::create(device, graph, model.weights(), options));

  Verdict verdict;
  const auto deep = std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                  [](const Node& node) { return node.kind() == OpKind::kConv2d; });
  verdict.precision = session.precision();
  const Tolerances& allowed = tolerances(verdict.precision);
  verdict.layer_tolerance = allowed.layer;
  verdict.logits_tolerance = deep > kDeep ? allowed.deep_logits : allowed.logits;
  if (args.tolerance > 0) verdict.layer_tolerance = verdict.logits_tolerance = args.tolerance;

  const std::vector<float> values(input.floats().begin(), input.floats().end());
  std::vector<float> logits(element_count(graph.value(graph.outputs.front()).shape));
  CALDERA_TRY(session.run(values, logits));
  int64_t done = 0;
  Progress progress(static_cast<int64_t>(session.graph().nodes.size() + graph.nodes.size()),
                    "layers");
  CALDERA_TRY(check_layers(session, values, progress, done, verdict));
  const std::vector<float> expected =
      reference_logits(graph, model.weights(), values, progress, done, verdict.overflow);
  verdict.logits = relative_l2(logits, expected);
  progress.finish();

  // A net may blow any rounding up, as an untrained plain one of a thousand layers does. How much,
  // the CPU tells alone: fused and unfused, it rounds differently.
  const bool layers_right = verdict.largest <= verdict.layer_tolerance;
  if (layers_right && verdict.overflow.empty() && verdict.logits > verdict.logits_tolerance) {
    int64_t again = 0;
    std::string overflow;
    Progress fused(static_cast<int64_t>(session.graph().nodes.size()), "layers");
    CALDERA_TRY_ASSIGN(const Weights weights, session.weights());
    const double rounding = relative_l2(
        reference_logits(session.graph(), weights, values, fused, again, overflow), expected);
    fused.finish();
    const double coarser = coarser_rounding(verdict.precision);
    verdict.logits_tolerance =
        std::max(verdict.logits_tolerance, kRoundingSlack * coarser * rounding);
  }

  std::vector<float> again(logits.size());
  for (int i = 0; i < kRepeats; ++i) {
    std::fill(again.begin(), again.end(), std::nanf(""));
    CALDERA_TRY(session.run(values, again));
    const bool equal = std::memcmp(again.data(), logits.data(), logits.size() * sizeof(float)) == 0;
    verdict.repeats_equal += equal ? 1 : 0;
  }
  return verdict;
}

void print_verdict(const Verdict& verdict, const Args& args, const std::string& model,
                   const std::string& device, const Shape& input) {
  using enum Table::Align;
  Table table({{"layer"}, {"operator"}, {"kernel"}, {"output"}, {"error", kRight}, {""}});
  for (const LayerError& layer : verdict.layers) {
    table.add({layer.layer, layer.op, layer.kernel.empty() ? "-" : layer.kernel,
               to_string(layer.shape), fmt::format("{:.1e}", layer.error),
               layer.error <= verdict.layer_tolerance ? ""
               : layer.finite                         ? "WRONG"
                                                      : "not finite"});
  }
  table.print();
  fmt::print("\n");
  Table summary({{""}, {""}});
  summary.add({"model", model});
  summary.add({"device", device});
  summary.add({"precision", std::string(precision_name(verdict.precision))});
  summary.add({"input", to_string(input) + (args.input.empty() ? ", random" : ", " + args.input)});
  summary.add(
      {"layers",
       fmt::format("{:.1e} at most, of {} allowed ({})", verdict.largest, verdict.layer_tolerance,
                   verdict.largest_layer.empty() ? "all equal" : verdict.largest_layer)});
  summary.add({"logits", fmt::format("{:.1e} from the CPU's, of {:.2g} allowed", verdict.logits,
                                     verdict.logits_tolerance)});
  summary.add(
      {"repeats", fmt::format("{} of {} runs gave equal bits", verdict.repeats_equal, kRepeats)});
  summary.add({"verdict", verdict.passed()           ? "right"
                          : verdict.overflow.empty() ? "WRONG"
                                                     : "none: the network itself overflows"});
  summary.print();
}

// Why it failed, and what to do next.
std::string problem_of(const Verdict& verdict, const Args& args) {
  if (!verdict.overflow.empty()) {
    return fmt::format(
        "the network itself overflows on this input, on the CPU too, so this tells nothing of the "
        "device: {} is the first layer with NaN or infinity; look at {} for such values",
        verdict.overflow,
        args.input.empty() ? "the checkpoint's weights" : "the input and the checkpoint's weights");
  }
  if (!verdict.beyond_half.empty()) {
    return fmt::format("{} has values beyond 65,504, where fp16 ends: run this network in fp32",
                       verdict.beyond_half);
  }
  const bool layers = !(verdict.largest <= verdict.layer_tolerance);
  const std::string what = layers ? "the device's result is wrong in " + verdict.largest_layer
                           : verdict.repeats_equal < kRepeats
                               ? "runs on the device differ from each other"
                               : "the device's logits are wrong";
  const Tolerances& allowed = tolerances(verdict.precision);
  const bool tight = args.tolerance > 0 && verdict.largest <= allowed.layer &&
                     verdict.logits <= allowed.logits && verdict.repeats_equal == kRepeats;
  if (tight) {
    return fmt::format(
        "the errors exceed --tolerance {}, but rounding alone comes to as much; "
        "leave --tolerance out",
        args.tolerance);
  }
  return fmt::format(
      "{}; try {}another driver or --device, and report this with what `caldera doctor` says", what,
      args.device.no_fuse ? "" : "--no-fuse, ");
}

Json to_json(const Verdict& verdict, const std::string& problem, const std::string& model,
             const std::string& device, const Shape& input) {
  // JSON has no NaN or infinity: null stands for both.
  const auto number = [](double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
  };
  Json layers = Json::array();
  for (const LayerError& layer : verdict.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"operator", layer.op},
                      {"kernel", layer.kernel},
                      {"shape", layer.shape},
                      {"error", number(layer.error)}});
  }
  return {{"passed", verdict.passed()},
          {"max_layer_error", number(verdict.largest)},
          {"logits_error", number(verdict.logits)},
          {"layer_tolerance", verdict.layer_tolerance},
          {"logits_tolerance", verdict.logits_tolerance},
          {"problem", verdict.passed() ? Json(nullptr) : Json(problem)},
          {"repeats", kRepeats},
          {"repeats_equal", verdict.repeats_equal},
          {"input_shape", input},
          {"device", device},
          {"precision", precision_name(verdict.precision)},
          {"model", model},
          {"layers", layers}};
}

Result<int> run_verify(const Args& args) {
  CALDERA_TRY_ASSIGN(const Model model, load_model(args.model));
  CALDERA_TRY_ASSIGN(const Tensor input, make_input(args, model));
  CALDERA_TRY_ASSIGN(const Device device, open_device(args.device));
  CALDERA_TRY_ASSIGN(const Verdict verdict, check(device, model, input, args));
  const std::string name = model.architecture().full_name();
  const std::string problem = verdict.passed() ? "" : problem_of(verdict, args);
  if (args.json) {
    print_json(to_json(verdict, problem, name, device.info().name, input.shape()));
  } else {
    print_verdict(verdict, args, name, device.info().name, input.shape());
  }
  if (verdict.passed()) return kExitDone;
  print_note(problem);
  return kExitFailed;
}

}  // namespace

void add_verify(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "verify",
      "Hold this device's results against the CPU's, layer by layer. Errors are relative:\n"
      "|device - CPU| / |CPU|. Exit status 1 where one exceeds the tolerance, or where runs\n"
      "differ in any bit.");
  add_model(*command, args->model);
  Option* input = command->add_option("--input", args->input, "NumPy file of the input (random)")
                      ->type_name("X.npy");
  add_batch_option(*command, args->batch, "Images of the random input (1)")->excludes(input);
  command
      ->add_option("--input-size", args->input_size,
                   "Its height and width (the model's, at most 64, as the CPU is slow)")
      ->type_name("N")
      ->check(in_range(1, 8192))
      ->excludes(input);
  command
      ->add_option("--tolerance", args->tolerance,
                   "Of layers and logits (1e-4, logits beyond 200 layers 1e-3;\n"
                   "fp16: layers 2e-3, logits 1e-2, beyond 200 layers 5e-2;\n"
                   "bf16: 8 times fp16's)")
      ->type_name("X")
      ->check(above_zero());
  add_device_options(*command, args->device);
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera verify resnet50.pth\n"
      "  caldera verify resnet18 --seed 1 --device 1");
  on_chosen(*command, action, args, run_verify);
}

}  // namespace caldera::tool
