// `caldera inspect`: what is in a file, and what running it costs. Works without a device; with
// one, the activations' memory is as planned for it.
#include <algorithm>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "caldera/checkpoint.h"

#include "tools/arguments.h"
#include "tools/command.h"
#include "tools/report.h"
#include "tools/step_costs.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

struct Args {
  ModelArgs model;
  DeviceArgs device;
  int64_t batch = 1;
  bool plan = false;
  bool train = false;
  bool json = false;
};

// A layer as it runs on the device.
struct PlannedLayer {
  std::string name;
  std::string op;
  std::string kernel;
  Shape output;
  LayerMemory memory;
};

struct Cost {
  int64_t parameters = 0;
  int64_t multiply_adds = 0;
  std::optional<SessionStats> planned;
  std::vector<PlannedLayer> layers;  // With --plan.
  std::vector<StepCost> steps;       // With --train.
  std::string device;
  Precision precision = Precision::kFp32;
};

// What the file says by itself; an architecture's name has no file.
struct FileFacts {
  uint64_t bytes = 0;
  Checkpoint checkpoint;
};

Result<Cost> cost_of(const Model& model, const Args& args) {
  Cost cost;
  CALDERA_TRY_ASSIGN(const Graph graph, model.graph(args.batch));
  cost.parameters = parameter_count(graph);
  CALDERA_TRY_ASSIGN(const Graph one, model.graph(1));
  cost.multiply_adds = multiply_adds(one);
  const Result<Device> device = open_device(args.device);
  if (!device.ok()) {
    // Only a device that was asked for must be there.
    if (!args.device.device.empty() || args.plan || args.train) return device.error();
    return cost;
  }
  if (args.train) {
    CALDERA_TRY_ASSIGN(cost.steps,
                       plan_training(*device, model, args.batch, args.device.session()));
  }
  CALDERA_TRY_ASSIGN(const Session session,
                     model.session(*device, args.batch, args.device.session()));
  cost.planned = session.stats();
  cost.device = device->info().name;
  cost.precision = session.precision();
  if (!args.plan) return cost;
  const Graph& ran = session.graph();
  const std::vector<std::string> kernels = session.kernels();
  for (const LayerMemory& memory : session.memory()) {
    const Node& node = ran.node(memory.node);
    cost.layers.push_back({node.name, std::string(op_name(node.kind())),
                           kernels[static_cast<size_t>(memory.node)],
                           ran.value(node.output()).shape, memory});
  }
  return cost;
}

void print_layers(const std::vector<PlannedLayer>& layers) {
  using enum Table::Align;
  Table table({{"layer"},
               {"kernel"},
               {"output"},
               {"bytes", kRight},
               {"block", kRight},
               {"workspace", kRight},
               {"weights", kRight},
               {"alive", kRight}});
  const auto bytes = [](uint64_t count) {
    return count > 0 ? human_bytes(count) : std::string("-");
  };
  for (const PlannedLayer& layer : layers) {
    table.add({layer.name, layer.kernel.empty() ? "-" : layer.kernel, to_string(layer.output),
               bytes(layer.memory.output_bytes), fmt::format("{}", layer.memory.output_block),
               bytes(layer.memory.workspace_bytes), bytes(layer.memory.weights_bytes),
               bytes(layer.memory.alive_bytes)});
  }
  table.print();
  fmt::print("\n");
}

void print_tensors(const Checkpoint& checkpoint) {
  using enum Table::Align;
  Table table({{"tensor"}, {"type"}, {"shape"}, {"elements", kRight}});
  for (const auto& [name, tensor] : checkpoint.tensors) {
    table.add({name, std::string(dtype_name(tensor.dtype())), to_string(tensor.shape()),
               grouped(tensor.size())});
  }
  table.print();
  fmt::print("\n");
}

// "4.0 GiB in 2 blocks, 3.0 GiB, 1.0 GiB"
std::string blocks_text(const std::vector<uint64_t>& blocks) {
  const uint64_t bytes = std::accumulate(blocks.begin(), blocks.end(), uint64_t{0});
  std::string text = human_bytes(bytes);
  if (blocks.size() < 2) return text + " in one block";
  text += fmt::format(" in {} blocks", blocks.size());
  constexpr size_t kShown = 8;
  for (size_t i = 0; i < std::min(blocks.size(), kShown); ++i)
    text += ", " + human_bytes(blocks[i]);
  return blocks.size() > kShown ? text + ", ..." : text;
}

std::string classes_text(const std::vector<std::string>& labels) {
  std::string text = fmt::format("{}", labels.size());
  if (!has_class_names(labels)) return text;
  const size_t shown = std::min<size_t>(labels.size(), 4);
  text += ": ";
  for (size_t i = 0; i < shown; ++i) text += (i ? ", " : "") + labels[i];
  return shown < labels.size() ? text + ", ..." : text;
}

std::string preprocess_text(const Preprocess& p) {
  std::string text = p.name;
  if (p.resize_shorter > 0) text += fmt::format(", shorter side to {}", p.resize_shorter);
  if (p.crop_width > 0) text += fmt::format(", centre crop {}x{}", p.crop_width, p.crop_height);
  return text + fmt::format(", mean {:.3g} {:.3g} {:.3g}, std {:.3g} {:.3g} {:.3g}", p.mean[0],
                            p.mean[1], p.mean[2], p.std[0], p.std[1], p.std[2]);
}

std::string file_text(const std::string& name, const FileFacts& file) {
  const Checkpoint& checkpoint = file.checkpoint;
  std::string text = fmt::format("{}, {}, {}", name, checkpoint_format_name(checkpoint.format),
                                 human_bytes(file.bytes));
  if (!checkpoint.wrapper.empty()) text += fmt::format(", inside '{}'", checkpoint.wrapper);
  if (!checkpoint.prefix.empty()) text += fmt::format(", less the prefix '{}'", checkpoint.prefix);
  return text;
}

void print_summary(const std::string& name, const FileFacts* file, const Result<Model>& model,
                   const std::optional<Cost>& cost, int64_t batch) {
  Table table({{""}, {""}});
  if (file) {
    table.add({"file", file_text(name, *file)});
    table.add({"tensors", grouped(static_cast<int64_t>(file->checkpoint.tensors.size()))});
  }
  if (!model.ok()) {
    table.add({"architecture", "unknown: " + model.error().message});
    table.print();
    return;
  }
  const Size2d input = model->input_size();
  table.add({"architecture", model->architecture().full_name()});
  table.add({"input", fmt::format("{}x{}, {} channels", input.w, input.h,
                                  model->architecture().input_channels)});
  table.add({"preprocessing", preprocess_text(model->preprocess())});
  table.add({"classes", classes_text(model->labels())});
  table.add({"parameters", fmt::format("{} ({})", grouped(cost->parameters),
                                       human_count(static_cast<double>(cost->parameters)))});
  table.add({"multiply-adds", human_count(static_cast<double>(cost->multiply_adds)) + " an image"});
  if (cost->planned) {
    table.add({"memory", fmt::format("{} of weights, {} of activations at batch {}, {}, on {}",
                                     human_bytes(cost->planned->weights_bytes),
                                     human_bytes(cost->planned->arena_bytes), batch,
                                     precision_name(cost->precision), cost->device)});
    if (!cost->layers.empty()) {
      table.add({"weights", blocks_text(cost->planned->weights_blocks)});
      table.add(
          {"arena", fmt::format("{}; {} alive at most", blocks_text(cost->planned->arena_blocks),
                                human_bytes(cost->planned->arena_lower_bound))});
      table.add({"staging", human_bytes(cost->planned->staging_bytes) + " for inputs and outputs"});
    }
  } else {
    table.add({"memory", fmt::format("{} of weights; activations are planned where there is a "
                                     "Vulkan device",
                                     human_bytes(cost->parameters * sizeof(float)))});
  }
  table.print();
}

Json plan_json(const Cost& cost) {
  Json layers = Json::array();
  for (const PlannedLayer& layer : cost.layers) {
    layers.push_back({{"layer", layer.name},
                      {"operator", layer.op},
                      {"kernel", layer.kernel},
                      {"shape", layer.output},
                      {"output_bytes", layer.memory.output_bytes},
                      {"output_block", layer.memory.output_block},
                      {"workspace_bytes", layer.memory.workspace_bytes},
                      {"weights_bytes", layer.memory.weights_bytes},
                      {"alive_bytes", layer.memory.alive_bytes}});
  }
  return {{"arena_bytes", cost.planned->arena_bytes},
          {"arena_lower_bound", cost.planned->arena_lower_bound},
          {"arena_blocks", cost.planned->arena_blocks},
          {"weights_bytes", cost.planned->weights_bytes},
          {"weights_blocks", cost.planned->weights_blocks},
          {"staging_bytes", cost.planned->staging_bytes},
          {"dispatches", cost.planned->dispatches},
          {"layers", layers}};
}

Json to_json(const std::string& name, const FileFacts* file, const Result<Model>& model,
             const std::optional<Cost>& cost, int64_t batch) {
  Json json{{"file", nullptr},
            {"format", nullptr},
            {"bytes", nullptr},
            {"architecture", nullptr},
            {"input", nullptr},
            {"preprocess", nullptr},
            {"classes", nullptr},
            {"labels", nullptr},
            {"parameters", nullptr},
            {"multiply_adds", nullptr},
            {"batch", batch},
            {"weights_bytes", nullptr},
            {"activation_bytes", nullptr},
            {"device", nullptr},
            {"precision", nullptr},
            {"plan", nullptr},
            {"training", nullptr},
            {"problem", nullptr},
            {"tensors", Json::array()}};
  if (file) {
    json["file"] = name;
    json["format"] = checkpoint_format_name(file->checkpoint.format);
    json["bytes"] = file->bytes;
    for (const auto& [tensor_name, tensor] : file->checkpoint.tensors) {
      json["tensors"].push_back({{"name", tensor_name},
                                 {"dtype", dtype_name(tensor.dtype())},
                                 {"shape", tensor.shape()}});
    }
  }
  if (!model.ok()) {
    json["problem"] = model.error().message;
    return json;
  }
  const Size2d input = model->input_size();
  json["architecture"] = model->architecture().full_name();
  json["input"] = {model->architecture().input_channels, input.h, input.w};
  json["preprocess"] = Json::parse(caldera::to_json(model->preprocess()));
  json["classes"] = model->architecture().classes;
  json["labels"] = model->labels();
  json["parameters"] = cost->parameters;
  json["multiply_adds"] = cost->multiply_adds;
  json["weights_bytes"] =
      cost->planned ? cost->planned->weights_bytes : cost->parameters * sizeof(float);
  if (cost->planned) {
    json["activation_bytes"] = cost->planned->arena_bytes;
    json["device"] = cost->device;
    json["precision"] = precision_name(cost->precision);
    if (!cost->layers.empty()) json["plan"] = plan_json(*cost);
    if (!cost->steps.empty()) json["training"] = step_costs_json(cost->steps);
  }
  return json;
}

Result<int> run_inspect(const Args& args) {
  CALDERA_TRY(check_step_options(args.device, args.train));
  const std::string& name = args.model.models.front();
  std::error_code error;
  std::optional<FileFacts> file;
  if (fs::is_regular_file(name, error)) {
    CALDERA_TRY_ASSIGN(Checkpoint checkpoint, read_checkpoint(name));
    file = FileFacts{fs::file_size(name, error), std::move(checkpoint)};
  }
  const Result<Model> model = load_model(args.model);
  // A file of no known architecture can still be looked at.
  if (!model.ok() && (!file || !args.model.architecture.empty())) return model.error();
  std::optional<Cost> cost;
  if (model.ok()) {
    CALDERA_TRY_ASSIGN(cost, cost_of(*model, args));
  }
  const FileFacts* facts = file ? &*file : nullptr;
  if (args.json) {
    print_json(to_json(name, facts, model, cost, args.batch));
    return kExitDone;
  }
  if (cost && !cost->layers.empty()) {
    print_layers(cost->layers);
  } else if (facts && !args.train) {
    print_tensors(facts->checkpoint);
  }
  if (cost && !cost->steps.empty()) print_step_costs(cost->steps);
  print_summary(name, facts, model, cost, args.batch);
  return kExitDone;
}

}  // namespace

void add_inspect(Commands& app, Action& action) {
  auto args = std::make_shared<Args>();
  Command* command = app.add_subcommand(
      "inspect",
      "Show what is in a model or checkpoint: architecture, tensors, parameters,\n"
      "multiply-adds and memory.");
  add_model(*command, args->model);
  add_batch_option(*command, args->batch, "Images a run, for the memory (1)");
  command->add_flag("--plan", args->plan,
                    "In place of the tensors: each layer's memory on the device, and its blocks");
  add_step_options(*command, args->device, args->train,
                   "In place of the tensors: what a training step takes, by --checkpointing");
  add_json_option(*command, args->json);
  command->footer(
      "Example:\n"
      "  caldera inspect resnet50.pth\n"
      "  caldera inspect resnet50 --batch 32 --plan\n"
      "  caldera inspect resnet50 --batch 32 --train");
  on_chosen(*command, action, args, run_inspect);
}

}  // namespace caldera::tool
