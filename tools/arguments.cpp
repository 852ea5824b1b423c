// The options that subcommands share; see arguments.h.
#include "tools/arguments.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "caldera/nearest.h"
#include "caldera/npy.h"

#include "tools/command.h"
#include "tools/report.h"
#include "tools/tuning_notes.h"

namespace caldera::tool {

namespace fs = std::filesystem;

namespace {

// The parser takes -1 as 2^64 - 1.
std::string whole_number(const std::string& text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && rest == end) return {};
  return fmt::format("{} is no whole number from 0 to {}", text, UINT64_MAX);
}

bool is_file(const std::string& name) {
  std::error_code ignored;
  return fs::exists(name, ignored);
}

Status refuse_folder(const std::string& path, std::string_view advice) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return {};
  return usage_error(fmt::format("{} is a folder; {}", path, advice));
}

// A file that cannot be read is the user's to mend, like one that holds nonsense.
Error input_error(const Error& error) {
  return {error.code == ErrorCode::kIo ? ErrorCode::kInvalidInput : error.code, error.message};
}

Error unknown_model(const std::string& name, const Error& error) {
  const std::string member = name.substr(0, name.find(':'));
  if (name.find('/') != std::string::npos || fs::path(member).has_extension()) {
    return usage_error(fmt::format("{}: no such file", name));
  }
  std::vector<std::string> members;
  for (const ArchitectureEntry& entry : list_architectures()) members.push_back(entry.name);
  if (nearest(member, members, 3).empty()) {
    return usage_error(fmt::format(
        "'{}' is neither a file nor an architecture; `caldera models` lists those", name));
  }
  return usage_error(
      fmt::format("'{}' is no file, and as an architecture: {}", name, error.message));
}

}  // namespace

SessionOptions DeviceArgs::session() const {
  return {.fuse = !no_fuse,
          .precision = precision,
          .full_precision = full_precision,
          .tune = tune,
          .on_tuned = note_tuning};
}

void add_model_options(Command& command, ModelArgs& args) {
  command.add_option("--arch", args.architecture, "Architecture, where the file does not tell it")
      ->type_name("NAME");
  command.add_option("--preprocess", args.preprocess, "imagenet, cifar10 or none, over the file's")
      ->type_name("NAME");
  command.add_option("--labels", args.labels, "Names of the classes, one a line, over the file's")
      ->type_name("FILE");
  add_seed_option(command, args.seed, "Seed of random weights, where MODEL is an architecture (0)");
}

void add_seed_option(Command& command, uint64_t& seed, const std::string& description) {
  command.add_option("--seed", seed, description)->type_name("N")->check(whole_number);
}

void add_model_file(Command& command, ModelArgs& args, const std::string& name,
                    const std::string& description, const std::string& otherwise) {
  Option* option = command.add_option_function(
      name, [&args](const std::string& model) { args.models = {model}; },
      otherwise.empty() ? description : fmt::format("{} ({})", description, otherwise));
  if (otherwise.empty()) {
    option->required();
  } else {
    args.models = {otherwise};
    option->default_str(otherwise);
  }
  add_model_options(command, args);
}

void add_model(Command& command, ModelArgs& args, const std::string& otherwise) {
  add_model_file(command, args, "MODEL", "A model or checkpoint file, or an architecture's name",
                 otherwise);
}

void add_ensemble(Command& command, ModelArgs& args) {
  command.add_option("--model", args.models, "In place of MODEL; twice or more: their average")
      ->type_name("MODEL")
      ->allow_extra_args(false);
  add_model_options(command, args);
}

void add_device_option(Command& command, DeviceArgs& args) {
  command.add_option("--device", args.device, "By name, index or UUID; see `caldera devices`")
      ->envname("CALDERA_DEVICE")
      ->type_name("DEVICE");
}

void add_opening_options(Command& command, DeviceArgs& args) {
  command.add_flag("--no-cache", args.no_cache,
                   "Keep and use nothing between runs: pipelines, tuning");
  command.add_flag("--validation", args.validation, "Report misuse of Vulkan (for bug reports)");
}

void add_precision_option(Command& command, DeviceArgs& args, const std::string& description,
                          const std::vector<std::string>& names) {
  const auto choose = [&args](const std::string& name) {
    args.mixed = name == training_precision_name(Precision::kFp16);
    args.precision = args.mixed ? Precision::kFp16 : Precision::kFp32;
    for (const Precision precision : {Precision::kFp16, Precision::kBf16}) {
      if (name == precision_name(precision)) args.precision = precision;
    }
  };
  command.add_option_function("--precision", choose, description)
      ->type_name("NAME")
      ->check(one_of(names));
  command
      .add_option("--full-precision", args.full_precision,
                  "Layers that compute in fp32 even so, '*' for any characters: 'layer4.*'")
      ->type_name("PATTERN")
      ->allow_extra_args(false);
}

void add_device_options(Command& command, DeviceArgs& args,
                        const std::vector<std::string>& precisions) {
  add_device_option(command, args);
  add_precision_option(command, args,
                       "Of stored weights and activations: fp32, fp16 or bf16 (fp32)", precisions);
  command.add_flag("--tune", args.tune, "Measure kernels first, where `caldera tune` has not");
  command.add_flag("--no-fuse", args.no_fuse, "Run every operator by itself");
  add_opening_options(command, args);
}

Option* add_batch_option(Command& command, int64_t& batch, const std::string& description) {
  return command.add_option("--batch", batch, description)
      ->type_name("N")
      ->check(in_range(int64_t{1}, int64_t{65536}));
}

void add_view_options(Command& command, ViewArgs& args) {
  add_batch_option(command, args.batch, "Views a run (as many as suit the device)");
  command.add_flag("--ten-crop", args.ten_crop, "Average corners, centre and their mirror images");
  command
      .add_option("--scales", args.scales,
                  "Average the whole image at these sizes of its shorter side")
      ->type_name("N,N,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(in_range(1, 8192));
}

Option* add_step_options(Command& command, DeviceArgs& args, bool& train,
                         const std::string& description) {
  Option* option = command.add_flag("--train", train, description);
  add_device_options(command, args, {"fp32", "fp16", "bf16", "mixed"});
  command.get_option("--precision")
      ->description("Of what is stored: fp32, fp16, which --train calls mixed, or bf16 (fp32)");
  return option;
}

Status check_step_options(const DeviceArgs& args, bool train) {
  if (args.mixed && !train)
    return usage_error("--precision mixed goes with --train; without it there is fp16");
  return {};
}

Option* add_checkpointing_option(Command& command, Checkpointing& checkpointing) {
  const auto choose = [&checkpointing](const std::string& name) {
    checkpointing = *find_checkpointing(name);
  };
  return command
      .add_option_function("--checkpointing", choose,
                           "Activations to make again, for less memory: none, cheap, "
                           "blocks (none)")
      ->type_name("NAME")
      ->check(one_of(checkpointing_names()));
}

void add_json_option(Command& command, bool& json) {
  command.add_flag("--json", json, "Print one JSON object");
}

Result<Model> load_model(const std::string& name, const ModelArgs& args) {
  if (is_file(name)) {
    CALDERA_TRY(refuse_folder(name, "name a model or checkpoint file in it"));
    ModelOptions options{args.architecture, args.preprocess, {}};
    if (!args.labels.empty()) {
      CALDERA_TRY_ASSIGN(options.labels, read_labels(args.labels));
    }
    Result<Model> model = Model::load(name, options);
    if (!model.ok()) return input_error(model.error());
    return model;
  }
  Result<Architecture> architecture = find_architecture(name);
  if (!architecture.ok()) return unknown_model(name, architecture.error());
  if (!args.architecture.empty() || !args.preprocess.empty() || !args.labels.empty()) {
    return usage_error(fmt::format(
        "--arch, --preprocess and --labels go with a checkpoint file, and {} is an architecture; "
        "leave them out or name a file",
        name));
  }
  return Model::create(name, args.seed);
}

Result<Model> load_model(const ModelArgs& args) {
  return load_model(args.models.front(), args);
}

Result<std::vector<Model>> load_models(const ModelArgs& args) {
  std::vector<Model> models;
  for (const std::string& name : args.models) {
    CALDERA_TRY_ASSIGN(Model model, load_model(name, args));
    models.push_back(std::move(model));
  }
  return models;
}

std::string model_names(const std::vector<Model>& models) {
  std::string names;
  for (const Model& model : models) {
    if (!names.empty()) names += " + ";
    names += model.architecture().full_name();
  }
  return names;
}

void note_random_weights(const ModelArgs& args) {
  std::string names;
  for (const std::string& name : args.models) {
    if (!is_file(name)) names += (names.empty() ? "" : ", ") + name;
  }
  if (names.empty()) return;
  print_note(fmt::format(
      "the weights of {} are random (seed {}), so its answers mean nothing; name a checkpoint file "
      "for trained ones",
      names, args.seed));
}

Result<Tensor> read_input(const std::string& path, int64_t channels) {
  CALDERA_TRY(refuse_folder(path, "name a NumPy file (.npy) in it"));
  const Result<Tensor> tensor = read_npy(path);
  if (!tensor.ok()) return input_error(tensor.error());
  const Shape& shape = tensor->shape();
  if (tensor->dtype() != DType::kF32 || shape.size() != 4 || tensor->size() == 0 ||
      shape[1] != channels) {
    return usage_error(fmt::format(
        "{}: {} of shape {}; give float32 of shape [N, {}, H, W], normalised as the model wants it",
        path, dtype_name(tensor->dtype()), to_string(shape), channels));
  }
  return tensor->to_f32();
}

std::string_view training_precision_name(Precision precision) {
  return precision == Precision::kFp16 ? "mixed" : precision_name(precision);
}

std::string driver_text(const DeviceInfo& info) {
  return info.driver_info.empty() ? info.driver_name : info.driver_name + " " + info.driver_info;
}

fs::path cache_dir() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache == '/') {
    return fs::path(cache) / "caldera";
  }
  if (const char* home = std::getenv("HOME"); home && *home == '/') {
    return fs::path(home) / ".cache" / "caldera";
  }
  return {};
}

Result<Device> open_device(const DeviceArgs& args) {
  DeviceOptions options;
  options.device = args.device;
  options.validation = args.validation;
  options.on_message = [](const std::string& message) { print_note(message); };
  if (!args.no_cache) {
    // A cache that cannot be written costs time, not correctness: go without.
    std::error_code error;
    const fs::path folder = cache_dir();
    if (!folder.empty()) fs::create_directories(folder, error);
    if (!error) options.cache_dir = folder;
  }
  Result<Device> device = Device::open(options);
  if (!device.ok() && device.error().code == ErrorCode::kNoDevice && args.device.empty()) {
    return Error{ErrorCode::kNoDevice, device.error().message + "; `caldera doctor` looks closer"};
  }
  if (device.ok() && supported_precision(device->info(), args.precision) != args.precision) {
    print_note(fmt::format("{} has no {}, so fp32 is used", device->info().name,
                           precision_name(args.precision)));
  }
  return device;
}

Result<Predictor> make_predictor(const Device& device, const std::vector<Model>& models,
                                 const ViewArgs& views, const DeviceArgs& device_args,
                                 size_t images) {
  return Predictor::create(device, models,
                           {.batch = views.batch,
                            .images = static_cast<int64_t>(images),
                            .ten_crop = views.ten_crop,
                            .scales = views.scales,
                            .session = device_args.session()});
}

}  // namespace caldera::tool
